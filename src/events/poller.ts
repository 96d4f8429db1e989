import { setTimeout as delay } from 'node:timers/promises'
import type { Rows } from '../db/connect.ts'
import { CHANGE_KINDS, type Change, type Moment, readChanges, readMoment } from '../db/queries/changes.ts'
import { AppError } from '../errors.ts'
import type { Seen } from '../model/seen.ts'

/** What one look at the database has found. */
export interface Found {
  /** In the order of the transactions. */
  readonly changes: readonly Change[]
  /** What the round sees that they are of. */
  readonly upTo: Seen
  /** Whether the round ends with them. */
  readonly isLast: boolean
}

/** Looks for what was committed, again and again, as long as somebody wants to know. */
export interface Poller {
  /** Resolves once everything that is committed from now on will be found. @throws AppError as a statement does. */
  start(): Promise<Moment>
  /** What has been handed on up to now; null before the start. */
  readonly head: Moment | null
  /** Seconds since it last found all there was; 0 while it is not asked to look. */
  lagSeconds(): number
  stop(): void
}

export interface PollerOptions {
  readonly db: Rows
  /** Takes what was found. When it fails, it is given the same again. */
  readonly onFound: (found: Found, signal: AbortSignal) => Promise<void>
  /** The numbers of transactions are others from now on, as after a failover: what was found before says nothing of what comes. */
  readonly onBreak: () => void
  readonly onProblem: (error: unknown) => void
  /** Milliseconds between two looks, and after some quiet. */
  readonly activeMillis?: number
  readonly quietMillis?: number
}

const PAGE = 1000
const QUIET_AFTER_MILLIS = 10_000
const TROUBLE_MILLIS = 500

export function createPoller(options: PollerOptions): Poller {
  const { db, onFound, onBreak, onProblem, activeMillis = 100, quietMillis = 500 } = options
  let running: { readonly stopping: AbortController; readonly begun: Promise<Moment> } | undefined
  let head: Moment | null = null
  /** The round that has begun, as far as it was handed on: after a failure it goes on there. */
  let round: { readonly moment: Moment; readonly last: Change } | null = null
  let foundAt = 0
  let lookedAt = 0

  /** Reads one round to its end: everything between the head and what its first statement sees. @returns whether there was anything. */
  async function poll(signal: AbortSignal): Promise<boolean> {
    for (;;) {
      const { seen: since } = head as Moment
      const asked = round && { snapshot: round.moment.snapshot, last: round.last }
      const { now, changes, isLast } = await readChanges(db, {
        since,
        round: asked,
        kinds: CHANGE_KINDS,
        limit: PAGE,
        signal,
      })
      signal.throwIfAborted()
      if (hasBroken(now)) return true
      const moment = round?.moment ?? now
      const last = changes.at(-1)
      if (last || round) await onFound({ changes, upTo: moment.seen, isLast }, signal)
      signal.throwIfAborted()
      const isFirst = round === null
      round = isLast || !last ? null : { moment, last }
      if (round) continue
      head = moment
      return last !== undefined || !isFirst
    }
  }

  /** Of a server that lost what it had said to be committed the numbers begin again as well. */
  function hasBroken(now: Moment): boolean {
    requirePrimary(now)
    if (head && now.cluster === head.cluster && now.seen.end >= head.seen.end) return false
    head = now
    round = null
    onBreak()
    return true
  }

  async function run(stopping: AbortController, begun: Promise<Moment>): Promise<void> {
    const { signal } = stopping
    head = await begun
    foundAt = performance.now()
    lookedAt = foundAt
    while (!signal.aborted) {
      let pause = performance.now() - foundAt > QUIET_AFTER_MILLIS ? quietMillis : activeMillis
      await delay(pause, undefined, { signal }).catch(() => {})
      if (signal.aborted) return
      try {
        if (await poll(signal)) foundAt = performance.now()
        lookedAt = performance.now()
      } catch (error) {
        if (signal.aborted) return
        onProblem(error)
        pause = TROUBLE_MILLIS
        await delay(pause, undefined, { signal }).catch(() => {})
      }
    }
  }

  async function begin(signal: AbortSignal): Promise<Moment> {
    const now = await readMoment(db, { signal })
    requirePrimary(now)
    return now
  }

  return {
    get head() {
      return head
    },
    lagSeconds: () => (running && head ? (performance.now() - lookedAt) / 1000 : 0),
    start() {
      if (running) return running.begun
      const stopping = new AbortController()
      const begun = begin(stopping.signal)
      const mine = { stopping, begun }
      running = mine
      run(stopping, begun).catch(() => {
        if (running === mine) running = undefined
      })
      return begun
    },
    stop() {
      running?.stopping.abort()
      running = undefined
      head = null
      round = null
    },
  }
}

/** Transactions are numbered where they are made. */
function requirePrimary({ cluster }: Moment): void {
  if (cluster === '') throw new AppError('DATABASE_UNAVAILABLE', 'The database takes no writes, and tells of none')
}
