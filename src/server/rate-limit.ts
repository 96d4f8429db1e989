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

/**
 * Lets a request in, and charges its answer when it has ended.
 * @throws AppError `RATE_LIMITED`, with `Retry-After` set, where nothing is left.
 */
export type RateLimit = (context: RequestContext) => void

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
    const before = socket.bytesWritten
    response.once('close', () => {
      bucketOf(key).left -= Math.floor((socket.bytesWritten - before) / POINT_BYTES)
    })
  }
}

function limited(response: ServerResponse, seconds: number): AppError {
  response.setHeader('retry-after', String(Math.ceil(seconds)))
  return new AppError('RATE_LIMITED', 'Too much was asked for: wait before you ask again')
}
