/** How far a standby is behind, by looks at both sides; no clock but this process's own counts. */
export interface Lag {
  /** What both said at a moment, in milliseconds that only go forward. */
  add(at: number, looked: Looked): void
  /** Seconds between what the standby shows and the last look at the primary; null before the first. */
  seconds(): number | null
}

interface Looked {
  /** Up to where the primary had written its log. */
  readonly written: bigint
  /** Up to where the standby shows it. */
  readonly replayed: bigint
  /** How old the standby calls what it shows; null where it does not know. */
  readonly ageSeconds: number | null
}

interface Sample {
  readonly at: number
  readonly written: bigint
}

/** Beyond this every second one is forgotten: what is far behind need not be told to the second. */
const SAMPLES_MAX = 600

export function createLag(): Lag {
  let samples: Sample[] = []
  let replayed = 0n
  let first: number | undefined
  let ageSeconds = 0
  return {
    add(at, looked) {
      first ??= at
      replayed = looked.replayed
      ageSeconds = looked.ageSeconds ?? 0
      samples.push({ at, written: looked.written })
      // The newest of those that it has shows how far it is.
      const last = samples.findLastIndex(({ written }) => written <= replayed)
      if (last > 0) samples = samples.slice(last)
      if (samples.length > SAMPLES_MAX) samples = samples.filter((_sample, index) => index % 2 === 0)
    },
    seconds() {
      const newest = samples.at(-1)
      if (!newest || first === undefined) return null
      const shown = samples.findLast(({ written }) => written <= replayed)
      // Of what was written before the first look nothing else tells.
      return shown ? (newest.at - shown.at) / 1000 : Math.max((newest.at - first) / 1000, ageSeconds)
    },
  }
}
