import type { ComponentChildren } from 'preact'
import { visible } from '../format.ts'
import { Icon } from '../parts/icon.tsx'
import { TextBlock } from '../parts/scrollable.tsx'

export interface ErrorBoxProps {
  readonly error: { readonly type?: string | null; readonly message: string; readonly stack?: string | null }
  readonly title: string
  readonly children?: ComponentChildren
}

/** What a producer told of a failure, its traceback included. */
export function ErrorBox({ error: { type, message, stack }, title, children }: ErrorBoxProps) {
  return (
    <section class="error-box" aria-label={title}>
      <Icon name="circle-x" />
      <div>
        <p>
          {type && <strong class="mono">{visible(type)}: </strong>}
          {visible(message)} {children}
        </p>
        {stack && (
          <details open>
            <summary>Traceback</summary>
            <TextBlock>{linesOf(stack)}</TextBlock>
          </details>
        )}
      </div>
    </section>
  )
}

const linesOf = (stack: string) => stack.split(/\r?\n/).map(visible).join('\n')
