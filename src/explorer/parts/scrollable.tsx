import type { ComponentChildren } from 'preact'

/** Text that may be longer than its box: the keys scroll it. */
export function TextBlock({ children }: { readonly children: ComponentChildren }) {
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must take the focus, or no key scrolls it
    <pre class="text" tabIndex={0}>
      {children}
    </pre>
  )
}

export interface TableBoxProps {
  readonly label: string
  readonly children: ComponentChildren
}

/** A table that may be wider than its box. */
export function TableBox({ label, children }: TableBoxProps) {
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must take the focus, or no key scrolls it
    <section class="table-box" tabIndex={0} aria-label={label}>
      {children}
    </section>
  )
}
