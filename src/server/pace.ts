/** What the other side of a connection owes while it is waited for: so many bytes a second, and some patience. */
export interface Pace {
  readonly minBytesPerSecond: number
  /** Milliseconds that whoever has passed nothing on yet may take for it. */
  readonly silentMillis: number
  /** Milliseconds that whoever has passed something on may be behind its rate. */
  readonly behindMillis: number
  /** Milliseconds that it may have in hand after it was faster: then it may pause for so long, and no longer. */
  readonly aheadMillis: number
}

/** The time that one side has left. Only time in which it alone is waited for may be counted. */
export interface Account {
  waited(millis: number): void
  passed(bytes: number): void
  /** Bytes that were passed on at first, at once: no sign yet of whether it goes on. */
  began(bytes: number): void
  /** Milliseconds; below zero it is too slow. */
  left(): number
}

/**
 * Of those who take answers. What nobody takes is cut before a store may call itself silent, so that the store is not blamed for its
 * reader. Resting is no slowness: curl's `--limit-rate` reads up to a hundred pieces of its rate, and then nothing for as
 * many seconds.
 */
export function paceOfReaders(minBytesPerSecond: number): Pace {
  return { minBytesPerSecond, silentMillis: 20_000, behindMillis: 30_000, aheadMillis: 120_000 }
}

/** Of those who send bodies. */
export function paceOfSenders(minBytesPerSecond: number): Pace {
  return { minBytesPerSecond, silentMillis: 30_000, behindMillis: 30_000, aheadMillis: 30_000 }
}

export function createAccount({ minBytesPerSecond, silentMillis, behindMillis, aheadMillis }: Pace): Account {
  let left = silentMillis
  let hasPassed = false
  const add = (bytes: number) => {
    left = Math.min(left + (1000 * bytes) / minBytesPerSecond, aheadMillis)
  }
  return {
    waited(millis) {
      left -= millis
    },
    passed(bytes) {
      if (!hasPassed) left += behindMillis - silentMillis
      hasPassed = true
      add(bytes)
    },
    began: add,
    left: () => left,
  }
}
