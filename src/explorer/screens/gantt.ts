/** From, to: milliseconds since 1970. */
export interface Span {
  readonly start: number
  readonly end: number
}

/** Where moments lie on a line from 0 to 100, on which idle time is cut short. */
export interface TimeScale {
  at(moment: number): number
  /** What was cut short, on the line, and how long it really was. */
  readonly gaps: readonly { readonly start: number; readonly end: number; readonly millis: number }[]
}

/** Idle time longer than this share of all that is busy is cut short to it. */
const GAP_SHARE = 0.06

export function createTimeScale(spans: readonly Span[]): TimeScale {
  const busy = merge(spans)
  const first = busy[0]?.start ?? 0
  const busyMillis = busy.reduce((sum, { start, end }) => sum + end - start, 0)
  const longestGap = Math.max(busyMillis * GAP_SHARE, 1)
  // Pieces of time, each with its length on the line.
  const pieces: { readonly start: number; readonly end: number; readonly length: number; readonly isCut: boolean }[] =
    []
  let before = first
  for (const { start, end } of busy) {
    const idle = start - before
    if (idle > 0)
      pieces.push({ start: before, end: start, length: Math.min(idle, longestGap), isCut: idle > longestGap })
    pieces.push({ start, end, length: end - start, isCut: false })
    before = end
  }
  const whole = Math.max(
    1,
    pieces.reduce((sum, { length }) => sum + length, 0),
  )

  function at(moment: number): number {
    let offset = 0
    for (const { start, end, length } of pieces) {
      if (moment < end) return (100 * (offset + Math.max(0, (moment - start) / (end - start)) * length)) / whole
      offset += length
    }
    return 100
  }

  const gaps = pieces
    .filter(({ isCut }) => isCut)
    .map(({ start, end }) => ({ start: at(start), end: at(end), millis: end - start }))
  return { at, gaps }
}

/** One after the other, none touching another. */
function merge(spans: readonly Span[]): Span[] {
  const merged: { start: number; end: number }[] = []
  for (const { start, end } of spans.toSorted((one, other) => one.start - other.start)) {
    const last = merged.at(-1)
    if (last && start <= last.end) last.end = Math.max(last.end, end)
    else merged.push({ start, end: Math.max(end, start) })
  }
  return merged
}
