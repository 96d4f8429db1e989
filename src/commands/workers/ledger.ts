import type { Config } from '../../config.ts'
import { createBuckets } from '../../server/rate-limit.ts'
import { createPlaces } from '../../server/streams.ts'
import type { PrimaryCalls } from './messages.ts'

/** What one worker has of that. */
export interface Account extends Pick<PrimaryCalls, 'takePoints' | 'chargePoints' | 'enter' | 'leave'> {
  /** Gives back what it held. */
  close(): void
}

/** What is counted for all workers together. */
export interface Ledger {
  open(): Account
}

/** A worker takes points for some requests at once, and fewer the fewer there are, so that none lie idle where others need them. */
const LEASE_MAX = 100

export function createLedger(config: Config): Ledger {
  const { rateLimitPerMinute: perMinute, workers } = config
  const { eventStreamsMax: streamsMax, eventStreamsPerViewerMax: perViewerMax } = config
  const buckets = createBuckets({ perMinute })
  const places = createPlaces({ streamsMax, perViewerMax })
  const most = (left: number) => Math.min(LEASE_MAX, left / (4 * workers))
  return {
    open() {
      const held = new Map<string, (() => void)[]>()
      return {
        takePoints: (key) => buckets.takeSome(key, most),
        chargePoints: (key, points) => buckets.charge(key, points),
        enter(viewer) {
          const leave = places(viewer)
          held.set(viewer, [...(held.get(viewer) ?? []), leave])
        },
        leave(viewer) {
          const left = held.get(viewer) ?? []
          left.pop()?.()
          if (left.length === 0) held.delete(viewer)
        },
        close() {
          for (const leaves of held.values()) for (const leave of leaves) leave()
          held.clear()
        },
      }
    },
  }
}
