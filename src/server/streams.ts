import type { Viewer } from '../auth/viewer.ts'
import { AppError } from '../errors.ts'

export interface StreamLimits {
  /** Streams of events at once. */
  readonly streamsMax: number
  /** Of those, by one viewer. */
  readonly perViewerMax: number
  /** How long one lives, 20 % more or less, so that those who came together do not come back together. */
  readonly ageMillis: number
  /** After so long without a byte there is one, so that no proxy takes a quiet stream for a dead one. */
  readonly keepAliveMillis: number
  /** Whoever takes nothing for so long, though there is something, is cut. */
  readonly stallMillis: number
  /** How long the first message of a WebSocket may take. */
  readonly initMillis: number
}

export const STREAM_LIMITS: StreamLimits = {
  streamsMax: 1500,
  perViewerMax: 50,
  ageMillis: 1_800_000,
  keepAliveMillis: 15_000,
  stallMillis: 30_000,
  initMillis: 10_000,
}

export interface StreamsOptions extends Partial<StreamLimits> {
  /** From when it fires on, every stream ends, and its client comes back elsewhere. */
  readonly draining: AbortSignal
  /** Who counts them; this process alone when left out. */
  readonly places?: Places | undefined
}

/** Whoever gets events, over whatever connection. */
export interface Stream {
  /** Called some times in `keepAliveMillis`, with the time of `performance.now()`. */
  look(now: number): void
  /** Ends it so that its client comes back: it is too old, or the server stops. */
  end(): void
}

/**
 * Takes a place for a stream that is about to begin.
 * @returns gives it back; to be called once. A promise where somebody else has to be asked.
 * @throws AppError `OVERLOADED`.
 */
export type Places = (who: string) => (() => void) | Promise<() => void>

/** How many streams there may be, and for how long. */
export interface Streams {
  readonly limits: StreamLimits
  readonly enter: Places
  /** How many have a place now, in this process. */
  open(): number
  /** Looks after a stream that has begun. @returns to be called when it has ended. */
  tend(stream: Stream): () => void
}

interface Tended {
  readonly stream: Stream
  readonly endsAt: number
}

const LOOKS = 15
const AGE_SPREAD = 0.2

/** One clock for all of them: a timer for each of thousands would cost more than what it is for. */
export function createStreams({ draining, places, ...changed }: StreamsOptions): Streams {
  const limits = { ...STREAM_LIMITS, ...changed }
  const tended = new Set<Tended>()
  let timer: NodeJS.Timeout | undefined
  draining.addEventListener('abort', () => {
    for (const { stream } of tended) stream.end()
  })

  function look(): void {
    const now = performance.now()
    for (const { stream, endsAt } of tended) {
      stream.look(now)
      if (now >= endsAt) stream.end()
    }
    if (tended.size > 0) return
    clearInterval(timer)
    timer = undefined
  }

  const take = places ?? createPlaces(limits)
  let open = 0
  const count = (leave: () => void) => {
    open++
    return () => {
      open--
      leave()
    }
  }

  return {
    limits,
    enter(who) {
      const taken = take(who)
      return taken instanceof Promise ? taken.then(count) : count(taken)
    },
    open: () => open,
    tend(stream) {
      const age = limits.ageMillis * (1 + AGE_SPREAD * (2 * Math.random() - 1))
      const entry = { stream, endsAt: performance.now() + age }
      tended.add(entry)
      timer ??= setInterval(look, limits.keepAliveMillis / LOOKS).unref()
      return () => void tended.delete(entry)
    },
  }
}

/** Counts them here. */
export function createPlaces({
  streamsMax,
  perViewerMax,
}: Pick<StreamLimits, 'streamsMax' | 'perViewerMax'>): (who: string) => () => void {
  const taken = new Map<string, number>()
  let total = 0
  return (who) => {
    const own = taken.get(who) ?? 0
    if (total >= streamsMax) throw new AppError('OVERLOADED', 'As many subscriptions as this server takes are open')
    if (own >= perViewerMax)
      throw new AppError('OVERLOADED', `You have ${perViewerMax} subscriptions open: end one first`)
    total += 1
    taken.set(who, own + 1)
    return () => {
      total -= 1
      const left = (taken.get(who) ?? 0) - 1
      if (left > 0) taken.set(who, left)
      else taken.delete(who)
    }
  }
}

/** By what one viewer is told from another: while nobody is asked who they are, the address that they come from. */
export function whoAsks({ name }: Viewer, address: string | undefined): string {
  return name === null ? `at ${address ?? ''}` : `as ${name}`
}
