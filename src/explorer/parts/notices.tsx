import { signal } from '@preact/signals'

const said = signal('')
const shown = signal<{ readonly text: string; readonly isBad: boolean } | null>(null)

const SHOWN_MILLIS = 4000
/** A reader of the screen is not talked over. */
const SAID_MILLIS = 5000

let hide: ReturnType<typeof setTimeout> | undefined
let lastSaid = Number.NEGATIVE_INFINITY
let waiting: string | undefined

/** What an act has led to: shown for a moment, and said. */
export function notify(text: string, { isBad = false }: { readonly isBad?: boolean } = {}): void {
  clearTimeout(hide)
  shown.value = { text, isBad }
  hide = setTimeout(() => {
    shown.value = null
  }, SHOWN_MILLIS)
  say(text)
}

/** Said to readers of the screen alone: at most once in five seconds, and then the last of what there was to say. */
export function say(text: string): void {
  const rest = lastSaid + SAID_MILLIS - performance.now()
  const isWaiting = waiting !== undefined
  waiting = text
  if (!isWaiting) setTimeout(saySoon, Math.max(rest, 0))
}

function saySoon(): void {
  said.value = waiting ?? ''
  waiting = undefined
  lastSaid = performance.now()
}

export function Notices() {
  const notice = shown.value
  return (
    <>
      <div class="visually-hidden" role="status" aria-live="polite">
        {said.value}
      </div>
      {notice && (
        <div class={notice.isBad ? 'notice bad' : 'notice'} aria-hidden="true">
          {notice.text}
        </div>
      )}
    </>
  )
}
