/** One of the sprite in the page. Without a label it says nothing that the text beside it does not say. */
export function Icon({ name, label }: { readonly name: string; readonly label?: string }) {
  return (
    <svg
      class="icon"
      aria-hidden={label === undefined}
      aria-label={label}
      role={label === undefined ? undefined : 'img'}
    >
      <use href={`#i-${name}`} />
    </svg>
  )
}
