import type { S3ClientConfig } from '@aws-sdk/client-s3'

type RetryStrategy = NonNullable<S3ClientConfig['retryStrategy']>

const MAX_RETRY_DELAY_MS = 2000
const BASE_DELAY_MS = { THROTTLING: 500, TRANSIENT: 100 } as const

/** What the SDK does not send again: two conditional writes that met, and a body that was altered on its way. */
const AGAIN = new Set(['ConditionalRequestConflict', 'BadDigest', 'XAmzContentSHA256Mismatch'])

export interface RetryOptions {
  readonly maxAttempts: number
  /** Retries that all requests together may spend before successes have earned new ones. */
  readonly budget: number
}

/**
 * Retries with jitter, out of one budget: a store that is down gets a little more than one request for each of ours, where
 * the SDK's own budget lets hundreds of retries through. A first attempt that succeeds earns a tenth of a retry.
 */
export function createRetryStrategy({ maxAttempts, budget }: RetryOptions): RetryStrategy {
  let left = budget
  return {
    async acquireInitialRetryToken() {
      return retryToken(0, 0)
    },
    async refreshRetryTokenForRetry(token, { error, errorType, retryAfterHint }) {
      const retries = token.getRetryCount()
      const kind = error && AGAIN.has(error.name) ? 'TRANSIENT' : errorType
      if (kind !== 'THROTTLING' && kind !== 'TRANSIENT') throw new Error('This error is not worth a retry')
      if (retries + 1 >= maxAttempts || left < 1) throw new Error('No retry left')
      left -= 1
      const jittered = Math.random() * BASE_DELAY_MS[kind] * 2 ** retries
      const hinted = retryAfterHint === undefined ? 0 : retryAfterHint.getTime() - Date.now()
      return retryToken(retries + 1, Math.min(Math.max(jittered, hinted), MAX_RETRY_DELAY_MS))
    },
    recordSuccess(token) {
      left = Math.min(budget, left + (token.getRetryCount() || 0.1))
    },
  }
}

function retryToken(retries: number, delayMs: number) {
  return { getRetryCount: () => retries, getRetryDelay: () => delayMs, getRetryCost: () => undefined }
}
