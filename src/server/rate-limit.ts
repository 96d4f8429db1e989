import type { ServerResponse } from 'node:http'
import { LRUCache } from 'lru-cache'
import { AppError } from '../errors.ts'
import type { RequestContext } from './request.ts'

export interface RateLimitOptions {
  /** Points that come back each minute, and that there are at most: a request costs one, and so does each MiB of its answer. */
  readonly perMinute: number
  /** Milliseconds that only go forward; those of the process when left out. */
  readonly now?: () => number
  /** Where points are kept; with this process when left out. */
  readonly budget?: Budget | undefined
}

/** Points of each viewer. */
export interface Budget {
  /** Takes one point. @returns 0, or the seconds after which there is one. A promise where somebody else has to be asked. */
  take(key: string): number | Promise<number>
  /** Takes so many afterwards, whether they are there or not. */
  charge(key: string, points: number): void
}

/** Who asks, and what is answered: of a message on a connection the response has no more than its head. */
export type Asking = Pick<RequestContext, 'viewer' | 'request' | 'response'>

/**
 * Lets somebody ask for something.
 * @returns to be called once, when the answer has ended, with its bytes.
 * @throws AppError `RATE_LIMITED`, with `Retry-After` set, where nothing is left.
 */
export type RateLimit = (asking: Asking) => Charge | Promise<Charge>

type Charge = (bytes: number) => void

interface Bucket {
  left: number
  at: number
}

const POINT_BYTES = 1_048_576
/** More viewers at once only where names cost nothing: the oldest are forgotten. */
const BUCKETS_MAX = 50_000

/** A bucket for each viewer who is known, and for each address of those who are not. */
export interface Buckets extends Budget {
  take(key: string): number
  /** Takes what is there, `most` at most. @returns none where there is none, and the seconds after which there is one. */
  takeSome(key: string, most: (left: number) => number): { readonly points: number; readonly waitSeconds: number }
}

export function createBuckets({ perMinute, now = () => performance.now() }: RateLimitOptions): Buckets {
  const buckets = new LRUCache<string, Bucket>({ max: BUCKETS_MAX })

  function bucketOf(key: string): Bucket {
    const at = now()
    const bucket = buckets.get(key) ?? { left: perMinute, at }
    bucket.left = Math.min(perMinute, bucket.left + ((at - bucket.at) * perMinute) / 60_000)
    bucket.at = at
    buckets.set(key, bucket)
    return bucket
  }

  const takeSome: Buckets['takeSome'] = (key, most) => {
    const bucket = bucketOf(key)
    if (bucket.left < 1) return { points: 0, waitSeconds: ((1 - bucket.left) * 60) / perMinute }
    const points = Math.max(1, Math.floor(Math.min(bucket.left, most(bucket.left))))
    bucket.left -= points
    return { points, waitSeconds: 0 }
  }
  return {
    takeSome,
    take: (key) => takeSome(key, () => 1).waitSeconds,
    charge(key, points) {
      const bucket = bucketOf(key)
      bucket.left = Math.min(perMinute, bucket.left - points)
    },
  }
}

/** What an answer costs is known when it has left. */
export function createRateLimit(options: RateLimitOptions): RateLimit {
  const { budget = createBuckets(options) } = options
  return ({ viewer, request, response }) => {
    const { socket } = request
    const key = viewer.name === null ? (socket.remoteAddress ?? '') : `${viewer.mode} ${viewer.name}`
    const settle = (waitSeconds: number): Charge => {
      if (waitSeconds > 0) throw limited(response, waitSeconds)
      return (bytes) => {
        const points = Math.floor(bytes / POINT_BYTES)
        if (points > 0) budget.charge(key, points)
      }
    }
    const taken = budget.take(key)
    return typeof taken === 'number' ? settle(taken) : taken.then(settle)
  }
}

/** Lets a request in, and charges its answer; a promise where it has to be waited for. @throws as the limit does. */
export function limitRequest(rateLimit: RateLimit, { viewer, request, response }: Asking): void | Promise<void> {
  const { socket } = request
  const begin = (charge: Charge) => {
    const before = socket.bytesWritten
    response.once('close', () => charge(socket.bytesWritten - before))
  }
  const letIn = rateLimit({ viewer, request, response })
  return letIn instanceof Promise ? letIn.then(begin) : begin(letIn)
}

function limited(response: ServerResponse, seconds: number): AppError {
  response.setHeader('retry-after', String(Math.ceil(seconds)))
  return new AppError('RATE_LIMITED', 'Too much was asked for: wait before you ask again')
}
