import { isIPv6 } from 'node:net'
import { LRUCache } from 'lru-cache'

export interface FailurePaceOptions {
  /** So many may come at once. */
  readonly burst: number
  /** Afterwards so many a minute. */
  readonly perMinute: number
  /** Milliseconds that only go forward; those of the process when left out. */
  readonly now?: () => number
}

/** Told of each failure to log in. @returns whether the address has failed more often than it may. */
export type FailurePace = (address: string) => boolean

interface Bucket {
  left: number
  at: number
}

/** More addresses than these fail at once only where many are behind it: the oldest are forgotten. */
const ADDRESSES_MAX = 10_000

/** A bucket for each address. Only failures are counted: whoever shows a good token is let in, whatever others do from his address. */
export function createFailurePace({
  burst,
  perMinute,
  now = () => performance.now(),
}: FailurePaceOptions): FailurePace {
  const buckets = new LRUCache<string, Bucket>({ max: ADDRESSES_MAX })
  return (address) => {
    const key = networkOf(address)
    const at = now()
    const bucket = buckets.get(key) ?? { left: burst, at }
    bucket.left = Math.min(burst, bucket.left + ((at - bucket.at) * perMinute) / 60_000)
    bucket.at = at
    buckets.set(key, bucket)
    if (bucket.left < 1) return true
    bucket.left -= 1
    return false
  }
}

/** Of IPv6 one network of 64 bits: whoever has one address of it has all. */
function networkOf(address: string): string {
  if (!isIPv6(address) || address.startsWith('::ffff:')) return address
  const [before = '', after] = address.split('::')
  const groups = before.split(':')
  const missing = after === undefined ? 0 : 8 - groups.length - after.split(':').length
  return [...groups, ...Array.from({ length: Math.max(missing, 0) }, () => '0'), ...(after?.split(':') ?? [])]
    .slice(0, 4)
    .join(':')
}
