export type Edit = 'same' | 'added' | 'removed'

/** Half-open, by index: in the new list where it was added, in the old one otherwise. */
export interface EditRun {
  readonly is: Edit
  readonly from: number
  readonly to: number
}

/** More edits than these are no difference that somebody reads. */
const EDITS_MOST = 400
/** Words that are compared, all in all: a few milliseconds. */
const STEPS_MOST = 250_000

/**
 * The fewest words that have to go and to come, in the order of the text; of those that stand beside each other what goes is first.
 * @returns undefined where they are too many. @see Myers, "An O(ND) Difference Algorithm and Its Variations".
 */
export function editsOf(old: readonly string[], now: readonly string[]): readonly EditRun[] | undefined {
  const most = Math.min(old.length + now.length, EDITS_MOST)
  const middle = most + 1
  /** By diagonal, how many of the old words can be reached; one place more at both ends. */
  const reach = new Int32Array(2 * middle + 1)
  /** What it was before each edit. */
  const trace: Int32Array[] = []
  let steps = 0
  for (let edits = 0; edits <= most && steps < STEPS_MOST; edits++) {
    trace.push(reach.slice(middle - edits - 1, middle + edits + 2))
    for (let diagonal = -edits; diagonal <= edits; diagonal += 2) {
      const above = reach[middle + diagonal - 1] ?? 0
      const below = reach[middle + diagonal + 1] ?? 0
      const isDown = diagonal === -edits || (diagonal !== edits && above < below)
      const from = isDown ? below : above + 1
      let at = from
      while (at < old.length && at - diagonal < now.length && old[at] === now[at - diagonal]) at++
      steps += at - from + 1
      reach[middle + diagonal] = at
      if (at >= old.length && at - diagonal >= now.length) return walkBack(trace, old.length, now.length)
    }
  }
  return undefined
}

function walkBack(trace: readonly Int32Array[], oldCount: number, nowCount: number): EditRun[] {
  const runs: EditRun[] = []
  let old = oldCount
  let now = nowCount
  let [gone, come] = [0, 0]

  /** What lies before has been the same since: the changes behind it are told. */
  function tell(same: number): void {
    if (same === 0) return
    if (come > 0) runs.push({ is: 'added', from: now, to: now + come })
    if (gone > 0) runs.push({ is: 'removed', from: old, to: old + gone })
    ;[gone, come] = [0, 0]
    runs.push({ is: 'same', from: old - same, to: old })
    old -= same
    now -= same
  }

  for (let edits = trace.length - 1; edits > 0; edits--) {
    const before = trace[edits] ?? new Int32Array()
    const diagonal = old - now
    const reached = (on: number) => before[on + edits + 1] ?? 0
    const isDown = diagonal === -edits || (diagonal !== edits && reached(diagonal - 1) < reached(diagonal + 1))
    const start = isDown ? reached(diagonal + 1) : reached(diagonal - 1) + 1
    tell(old - start)
    if (isDown) {
      now--
      come++
    } else {
      old--
      gone++
    }
  }
  tell(old)
  // Without a common beginning.
  if (come > 0) runs.push({ is: 'added', from: now, to: now + come })
  if (gone > 0) runs.push({ is: 'removed', from: old, to: old + gone })
  return runs.reverse()
}
