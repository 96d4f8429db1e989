import { unlessAborted } from '../abort.ts'
import { AppError } from '../errors.ts'

export interface Deadline {
  /** Milliseconds for the whole call, retries included. */
  readonly deadlineMs: number
  readonly signal?: AbortSignal
}

/**
 * Runs one call under a deadline, which ends when the call settles: what the call returned lives on.
 * @throws AppError `STORAGE_TIMEOUT` after the deadline; the signal's reason when the caller aborts.
 */
export async function withDeadline<T>(deadline: Deadline, run: (signal: AbortSignal) => Promise<T>): Promise<T> {
  const { deadlineMs, signal } = deadline
  signal?.throwIfAborted()
  const controller = new AbortController()
  const late = (): void =>
    controller.abort(new AppError('STORAGE_TIMEOUT', `Storage took longer than ${deadlineMs} ms`))
  const timer = setTimeout(late, deadlineMs)
  const onAbort = (): void => controller.abort(signal?.reason)
  signal?.addEventListener('abort', onAbort, { once: true })
  try {
    return await unlessAborted(run(controller.signal), controller.signal)
  } catch (error) {
    // A request that was answered with an error while its body was still being sent would keep its socket.
    controller.abort(error)
    throw error
  } finally {
    clearTimeout(timer)
    signal?.removeEventListener('abort', onAbort)
  }
}
