export interface CaptureProgress {
  readonly sentBytes: number
  /** Undefined while a stream of unknown size is under way. */
  readonly totalBytes: number | undefined
}

/** Counts what several requests send together. What is sent once more is not counted until it passes what was told. */
export interface ProgressMeter {
  /** A count for one attempt at one range; it takes the place of earlier attempts at that range, or at any for `all`. */
  begin(rangeStart: number | 'all'): (sentBytes: number) => void
  /** Tells the end, once, however much of it was sent. */
  finish(sizeBytes: number): void
}

export function createProgressMeter(
  totalBytes: number | undefined,
  onProgress: ((progress: CaptureProgress) => void) | undefined,
): ProgressMeter {
  const sentOf = new Map<number | 'all', number>()
  let sum = 0
  let told = 0
  return {
    begin(rangeStart) {
      if (rangeStart === 'all') {
        sentOf.clear()
        sum = 0
      }
      sum -= sentOf.get(rangeStart) ?? 0
      sentOf.set(rangeStart, 0)
      return (sentBytes) => {
        sentOf.set(rangeStart, (sentOf.get(rangeStart) ?? 0) + sentBytes)
        sum += sentBytes
        // All of it is told when it is stored, not when it is sent.
        if (sum <= told || sum >= (totalBytes ?? Number.POSITIVE_INFINITY)) return
        told = sum
        onProgress?.({ sentBytes: sum, totalBytes })
      }
    },
    finish: (sizeBytes) => onProgress?.({ sentBytes: sizeBytes, totalBytes: sizeBytes }),
  }
}
