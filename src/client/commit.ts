import { type Api, type CaptureResult, readCaptured } from './api.ts'
import type { StatelensError } from './errors.ts'
import { isPassing, pauseAfter } from './retry.ts'

const COMMIT = `mutation($uploadId: ID!) {
  commitSnapshotUpload(uploadId: $uploadId) { created snapshot { snapshotId seq sizeBytes digest storageTier } }
}`

/** How many limits of a small call an answer is waited for: by then the server has said at least that it is still at work. */
const WAIT_LIMITS = 2
/** In the same unit: how long a server may be away, beside the time in which it reads the bytes. */
const AWAY_LIMITS = 4
/** No store brings its server less than a MiB a second for long. */
const SLOW_BYTES_PER_MILLI = 1_048_576 / 1000

export interface CommitOptions {
  readonly api: Api
  readonly sizeBytes: number
  /** For what the server itself says may go away. */
  readonly retries: number
  /** For a call that carries little. */
  readonly timeoutMillis: number
  readonly signal: AbortSignal | undefined
}

/**
 * Commits an upload. The server reads all of it first, whether anybody waits for that or not: so an answer that is late or lost is
 * asked for again, as long as a payload of that size may take, and never is anything begun anew for it.
 */
export async function commitUpload(uploadId: string, options: CommitOptions): Promise<CaptureResult> {
  const { api, sizeBytes, retries, timeoutMillis, signal } = options
  const call = {
    query: COMMIT,
    variables: JSON.stringify({ uploadId }),
    timeoutMillis: WAIT_LIMITS * timeoutMillis,
    signal,
  }
  const end = performance.now() + AWAY_LIMITS * timeoutMillis + sizeBytes / SLOW_BYTES_PER_MILLI
  for (let refusals = 0, losses = 0; ; ) {
    const askedAt = performance.now()
    try {
      return readCaptured(await api.graphql(call), { status: 200 })
    } catch (error) {
      if (!isPassing(error)) throw error
      const waited = performance.now() - askedAt
      if (isMissing(error)) losses = waited > timeoutMillis / 2 ? 1 : losses + 1
      else refusals += 1
      if (refusals > retries || performance.now() >= end) throw error
      await pauseAfter(error, isMissing(error) ? losses : refusals, signal)
    }
  }
}

/** Whether nobody has said what became of the commit: it was lost on the way, or the server is still at work. */
function isMissing({ code }: StatelensError): boolean {
  return ['NETWORK', 'UNEXPECTED_ANSWER', 'STORAGE_TIMEOUT'].includes(code)
}
