import { setTimeout as delay } from 'node:timers/promises'
import { isAppError } from '../errors.ts'

const PAUSE_MILLIS = 500

/** Tries again what a database that is away for a while makes fail. @throws the signal's reason; any other failure. */
export async function patiently<T>(work: () => Promise<T>, signal: AbortSignal): Promise<T> {
  for (;;) {
    signal.throwIfAborted()
    try {
      return await work()
    } catch (error) {
      if (!isAppError(error) || !error.isRetryable) throw error
      await delay(PAUSE_MILLIS, undefined, { signal }).catch(() => {})
    }
  }
}
