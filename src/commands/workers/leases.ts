import { LRUCache } from 'lru-cache'
import type { Budget } from '../../server/rate-limit.ts'
import type { Lease } from './messages.ts'

export interface LeasesOptions {
  readonly take: (key: string) => Promise<Lease>
  /** Less than nothing gives points back. */
  readonly charge: (key: string, points: number) => void
  /** Milliseconds that only go forward; those of the process when left out. */
  readonly now?: () => number
}

interface Held {
  points: number
  /** When the last of them came. */
  at: number
  /** Before that there are none for anybody. */
  waitUntil: number
}

/** Points that nobody needs go back after so long. */
const IDLE_MILLIS = 500
const KEYS_MAX = 50_000

/** Points that somebody else keeps, for this process: taken some at a time, so that few requests have to wait for an answer. */
export function createLeases({ take, charge, now = () => performance.now() }: LeasesOptions): Budget {
  const held = new LRUCache<string, Held>({ max: KEYS_MAX })
  let timer: NodeJS.Timeout | undefined

  function giveBack(): void {
    const before = now() - IDLE_MILLIS
    let isEmpty = true
    for (const [key, one] of held.entries()) {
      if (one.points === 0) continue
      isEmpty = false
      if (one.at > before) continue
      charge(key, -one.points)
      one.points = 0
    }
    if (!isEmpty) return
    clearInterval(timer)
    timer = undefined
  }

  async function ask(key: string, one: Held): Promise<number> {
    const { points, waitSeconds } = await take(key)
    if (points === 0) {
      one.waitUntil = now() + waitSeconds * 1000
      return waitSeconds
    }
    one.points += points - 1
    one.at = now()
    if (one.points > 0) timer ??= setInterval(giveBack, IDLE_MILLIS).unref()
    return 0
  }

  return {
    take(key) {
      const one = held.get(key) ?? { points: 0, at: 0, waitUntil: 0 }
      held.set(key, one)
      if (one.points > 0) {
        one.points -= 1
        return 0
      }
      const waitMillis = one.waitUntil - now()
      return waitMillis > 0 ? waitMillis / 1000 : ask(key, one)
    },
    charge,
  }
}
