import { fetchPlain } from '../api/client.ts'
import { useRead } from '../api/use-read.ts'
import { formatBytes, formatCount } from '../format.ts'
import { params, setParams } from '../location.ts'
import { FaultView } from '../parts/fault-view.tsx'
import { Icon } from '../parts/icon.tsx'
import { TextBlock } from '../parts/scrollable.tsx'
import { Waiting } from '../parts/waiting.tsx'
import { linesOf } from './place-panel.tsx'
import { windowText } from './window-text.ts'

const WINDOW_BYTES = 32_768
/** A character that begins in the window may end behind it. */
const OVERHANG_BYTES = 3

/** Half-open, in bytes, and what the whole has. */
interface TextPart {
  readonly text: string
  readonly sizeBytes: number
}

/** A text of any length, by windows of its bytes; which one stands in the address. @param path what serves it, below the server's root. */
export function TextWindow({ path }: { readonly path: string }) {
  const asked = Math.floor(Number(params.value.get('byte') ?? 0) / WINDOW_BYTES) * WINDOW_BYTES
  const from = Number.isSafeInteger(asked) && asked > 0 ? asked : 0
  const { data: part, fault, again } = useRead(`${path} ${from}`, (signal) => readWindow(path, from, signal))
  return (
    <div class="text-window">
      {part && <WindowBar from={from} sizeBytes={part.sizeBytes} />}
      {fault && <FaultView fault={fault} onRetry={again} />}
      {part && <TextBlock>{linesOf(part.text)}</TextBlock>}
      {!part && !fault && <Waiting rows={10} what="Reading the text" />}
    </div>
  )
}

function WindowBar({ from, sizeBytes }: { readonly from: number; readonly sizeBytes: number }) {
  const last = Math.max(0, Math.floor((sizeBytes - 1) / WINDOW_BYTES) * WINDOW_BYTES)
  const goTo = (byte: number) => setParams({ byte: byte === 0 ? null : String(byte) }, { isReplacing: true })
  if (last === 0) return null
  return (
    <div class="window-bar">
      <button type="button" aria-label="Window before" disabled={from === 0} onClick={() => goTo(from - WINDOW_BYTES)}>
        <Icon name="arrow-left" />
      </button>
      <button type="button" aria-label="Window after" disabled={from >= last} onClick={() => goTo(from + WINDOW_BYTES)}>
        <Icon name="arrow-right" />
      </button>
      <label class="slider">
        <span class="visually-hidden">Place in the text</span>
        <input
          type="range"
          min={0}
          max={last}
          step={WINDOW_BYTES}
          value={from}
          onChange={(event) => goTo(Number(event.currentTarget.value))}
        />
      </label>
      <span class="muted">
        from byte {formatCount(from)} of {formatBytes(sizeBytes)}
      </span>
    </div>
  )
}

async function readWindow(path: string, from: number, signal: AbortSignal): Promise<TextPart> {
  const end = from + WINDOW_BYTES + OVERHANG_BYTES
  const response = await fetchPlain(path, signal, { range: `bytes=${from}-${end - 1}` })
  const isPart = response.status === 206
  // What has no ranges comes whole: no more of it is taken than what is shown.
  const bytes = await readStart(response, isPart ? end - from : end)
  const told = isPart ? response.headers.get('content-range')?.split('/')[1] : response.headers.get('content-length')
  const window = isPart ? bytes : bytes.subarray(from)
  return { text: windowText(window, WINDOW_BYTES, from > 0), sizeBytes: Number(told ?? bytes.length) }
}

async function readStart(response: Response, most: number): Promise<Uint8Array> {
  const bytes = new Uint8Array(most)
  let size = 0
  if (response.body === null) return bytes.subarray(0, 0)
  for await (const chunk of response.body) {
    bytes.set(chunk.subarray(0, most - size), size)
    size = Math.min(most, size + chunk.length)
    if (size === most) break
  }
  return bytes.subarray(0, size)
}
