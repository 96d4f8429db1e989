import { useState } from 'preact/hooks'
import { faultOf } from '../api/fault.ts'
import { counted, formatBytes, shorten, visible } from '../format.ts'
import { notify } from '../parts/notices.tsx'
import { readRaw } from '../tree/remote-source.ts'
import { isContainer, type Place, previewOf } from '../tree/source.ts'
import type { Change } from './diff-changes.tsx'
import { diffTexts, type Piece } from './words.ts'

const WORDS_MAX_BYTES = 65_536
const PREVIEW_MOST = 400

export interface ChangedValueProps {
  readonly change: Change
  readonly snapshotId: string
  readonly fromId: string
}

/** What was there, and what is there now; of two strings the words that differ. */
export function ChangedValue({ change: { op, before, after }, snapshotId, fromId }: ChangedValueProps) {
  const [whole, setWhole] = useState<readonly Piece[]>()
  const areStrings = op === 'CHANGED' && before?.type === 'STRING' && after?.type === 'STRING'
  if (areStrings) {
    const pieces = whole ?? wordsOf(before, after)
    if (pieces) return <Words pieces={pieces} />
  }
  const canReadWhole = areStrings && Math.max(before.sizeBytes, after.sizeBytes) <= WORDS_MAX_BYTES
  const read = async () => {
    if (!before || !after) return
    try {
      const { signal } = new AbortController()
      const [old, now] = await Promise.all([
        readRaw({ id: fromId, pointer: before.pointer, maxBytes: WORDS_MAX_BYTES }, signal),
        readRaw({ id: snapshotId, pointer: after.pointer, maxBytes: WORDS_MAX_BYTES }, signal),
      ])
      const texts = [JSON.parse(old), JSON.parse(now)] as const
      // The page has its turn before they are compared, and before what differs is drawn.
      await new Promise(requestAnimationFrame)
      const pieces = diffTexts(...texts)
      await new Promise(requestAnimationFrame)
      setWhole(pieces)
    } catch (error) {
      notify(faultOf(error).message, { isBad: true })
    }
  }
  if (isShort(before) && isShort(after)) return null
  return (
    <>
      {op !== 'ADDED' && op !== 'MOVED' && before && <Side sign="−" place={before} />}
      {op !== 'REMOVED' && after && <Side sign="+" place={after} />}
      {canReadWhole && (
        <button type="button" class="link" onClick={read}>
          Compare the words
        </button>
      )}
    </>
  )
}

const INLINE_MOST = 60

/** Whether a side has room in the line of its name. */
export const isShort = (place: Place | null | undefined) =>
  !place || (!isContainer(place) && previewOf(place).length <= INLINE_MOST)

function Side({ sign, place }: { readonly sign: '+' | '−'; readonly place: Place }) {
  const count =
    place.childCount === null ? '' : `${counted(place.childCount, place.type === 'OBJECT' ? 'key' : 'item')}, `
  return (
    <p class={sign === '+' ? 'side added' : 'side removed'}>
      <span class="sign" aria-hidden="true">
        {sign}
      </span>
      <bdi class="value" data-type={place.type}>
        {visible(shorten(previewOf(place), PREVIEW_MOST))}
      </bdi>
      {(isContainer(place) || place.sizeBytes > PREVIEW_MOST) && (
        <span class="muted size">
          {count}
          {formatBytes(place.sizeBytes)}
        </span>
      )}
    </p>
  )
}

/** What is drawn of one difference: more of it is read in the states themselves. */
const PIECES_MOST = 300
const PIECE_MOST_UNITS = 4000

function Words({ pieces }: { readonly pieces: readonly Piece[] }) {
  const rest = pieces.slice(PIECES_MOST).filter(({ is }) => is !== 'same').length
  return (
    <p class="words">
      <bdi>
        {pieces.slice(0, PIECES_MOST).map(({ text, is }, index) => {
          const key = `${index}`
          const shown = visible(
            is === 'same' ? shortenMiddle(text, index, pieces.length) : shorten(text, PIECE_MOST_UNITS),
          )
          if (is === 'added') return <ins key={key}>{shown}</ins>
          if (is === 'removed') return <del key={key}>{shown}</del>
          return <span key={key}>{shown}</span>
        })}
      </bdi>
      {rest > 0 && <span class="muted"> … and {counted(rest, 'other piece')}</span>}
    </p>
  )
}

const KEPT = 160

/** What is alike is shown around what differs alone. */
function shortenMiddle(text: string, index: number, count: number): string {
  if (text.length <= 2 * KEPT) return text
  const start = index === 0 ? '…' : shorten(text, KEPT)
  const end = text.slice(text.length - KEPT).replace(/^[\udc00-\udfff]/, '')
  return index === count - 1 ? start : `${start} ${end}`
}

/** Undefined where one of them is not whole in its preview. */
function wordsOf(before: Place, after: Place): readonly Piece[] | undefined {
  const old = textOf(before)
  const now = textOf(after)
  return old === undefined || now === undefined ? undefined : diffTexts(old, now)
}

function textOf(place: Place): string | undefined {
  const preview = previewOf(place)
  if (new TextEncoder().encode(preview).length !== place.sizeBytes) return undefined
  try {
    return String(JSON.parse(preview))
  } catch {
    return undefined
  }
}
