import { setTimeout as delay } from 'node:timers/promises'
import { StatelensError } from './errors.ts'

const FIRST_WAIT_MILLIS = 200
const LONGEST_WAIT_MILLIS = 10_000
/** Whoever asks for more is not waited for that long. */
const LONGEST_ASKED_MILLIS = 60_000

export interface RetryOptions {
  /** How often a call is repeated at most. */
  readonly retries: number
  readonly signal?: AbortSignal | undefined
  /** Asked after each failure that may go away. */
  readonly mayRepeat?: ((error: StatelensError, failures: number) => boolean) | undefined
}

/** Repeats what may succeed later, each time after a longer wait. @throws the last failure. */
export async function withRetries<Result>(work: () => Promise<Result>, options: RetryOptions): Promise<Result> {
  const { retries, signal, mayRepeat = () => true } = options
  for (let failures = 1; ; failures++) {
    try {
      return await work()
    } catch (error) {
      if (!isPassing(error) || failures > retries || !mayRepeat(error, failures)) throw error
      await pauseAfter(error, failures, signal)
    }
  }
}

export function isPassing(error: unknown): error is StatelensError {
  return error instanceof StatelensError && error.retryable
}

/** @param failures in a row, this one with them. @throws the signal's reason. */
export async function pauseAfter(error: StatelensError, failures: number, signal?: AbortSignal): Promise<void> {
  try {
    await delay(waitMillis(error, failures), undefined, { signal })
  } catch (aborted) {
    signal?.throwIfAborted()
    throw aborted
  }
}

/** Between half and all of a wait that doubles, so that many callers do not come back at once. */
function waitMillis({ retryAfterMillis = 0 }: StatelensError, failures: number): number {
  const longest = Math.min(LONGEST_WAIT_MILLIS, FIRST_WAIT_MILLIS * 2 ** (failures - 1))
  return Math.min(retryAfterMillis, LONGEST_ASKED_MILLIS) + longest * (0.5 + Math.random() / 2)
}
