/** Bytes that all streams together hand on in one turn of the event loop: a millisecond or so of work, and what is read of files at once. */
const TURN_BYTES = 524_288

interface Waiting {
  readonly sizeBytes: number
  readonly goOn: () => void
}

const waiting: Waiting[] = []
let left = TURN_BYTES
let isCounting = false

/**
 * Calls back when so many bytes of a stream may be handed on: at once, or in a later turn of the event loop, in the order in which they
 * came. Streams take whatever time there is, and there is always another one that is ready: without this a small question
 * would wait for a piece of each of them at every step that it takes, and be answered after seconds.
 * @returns whether it has called back already.
 */
export function takeTurn(sizeBytes: number, goOn: () => void): boolean {
  if (!isCounting) setImmediate(nextTurn)
  isCounting = true
  if (left <= 0 || waiting.length > 0) {
    waiting.push({ sizeBytes, goOn })
    return false
  }
  left -= sizeBytes
  goOn()
  return true
}

function nextTurn(): void {
  left = TURN_BYTES
  isCounting = waiting.length > 0
  // First: whatever one of them throws, the others have their turn.
  if (isCounting) setImmediate(nextTurn)
  while (left > 0) {
    const next = waiting.shift()
    if (!next) break
    left -= next.sizeBytes
    next.goOn()
  }
}
