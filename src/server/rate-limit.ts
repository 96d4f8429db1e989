import type { ServerResponse } from 'node:http'
import { LRUCache } from 'lru-cache'
import { AppError } from '../errors.ts'
import type { RequestContext } from './request.ts'

export interface RateLimitOptions {
  /** Points that come back each minute, and that there are at most: a request costs one, and so does each MiB of its answer. */
  readonly perMinute: number
  /** Milliseconds that only go forward; those of the process when left out. */
  readonly now?: () => number
}

/** Who asks, and what is answered: of a message on a connection the response has no more than its head. */
export type Asking = Pick<RequestContext, 'viewer' | 'request' | 'response'>

/**
 * Lets somebody ask for something.
 * @returns to be called once, when the answer has ended, with its bytes.
 * @throws AppError `RATE_LIMITED`, with `Retry-After` set, where nothing is left.
 */
export type RateLimit = (asking: Asking) => (bytes: number) => void

interface Bucket {
  left: number
  at: number
}

const POINT_BYTES = 1_048_576
/** More viewers at once only where names cost nothing: the oldest are forgotten. */
const BUCKETS_MAX = 50_000

/** A bucket for each viewer who is known, and for each address of those who are not. What an answer costs is known when it has left. */
export function createRateLimit({ perMinute, now = () => performance.now() }: RateLimitOptions): RateLimit {
  const buckets = new LRUCache<string, Bucket>({ max: BUCKETS_MAX })

  function bucketOf(key: string): Bucket {
    const at = now()
    const bucket = buckets.get(key) ?? { left: perMinute, at }
    bucket.left = Math.min(perMinute, bucket.left + ((at - bucket.at) * perMinute) / 60_000)
    bucket.at = at
    buckets.set(key, bucket)
    return bucket
  }

  return ({ viewer, request, response }) => {
    const { socket } = request
    const key = viewer.name === null ? (socket.remoteAddress ?? '') : `${viewer.mode} ${viewer.name}`
    const bucket = bucketOf(key)
    if (bucket.left < 1) throw limited(response, ((1 - bucket.left) * 60) / perMinute)
    bucket.left -= 1
    return (bytes) => {
      bucketOf(key).left -= Math.floor(bytes / POINT_BYTES)
    }
  }
}

/** Lets a request in, and charges its answer. @throws as the limit does. */
export function limitRequest(rateLimit: RateLimit, { viewer, request, response }: Asking): void {
  const { socket } = request
  const charge = rateLimit({ viewer, request, response })
  const before = socket.bytesWritten
  response.once('close', () => charge(socket.bytesWritten - before))
}

function limited(response: ServerResponse, seconds: number): AppError {
  response.setHeader('retry-after', String(Math.ceil(seconds)))
  return new AppError('RATE_LIMITED', 'Too much was asked for: wait before you ask again')
}
