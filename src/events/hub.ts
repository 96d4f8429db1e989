import type { Rows } from '../db/connect.ts'
import { findGoneRuns, type Moment } from '../db/queries/changes.ts'
import { isFinal, type Run } from '../model/run.ts'
import { placeAt } from './event.ts'
import { hydrate } from './hydrate.ts'
import { locate } from './locate.ts'
import { createPoller, type Found, type PollerOptions } from './poller.ts'
import { createRing, type RingOptions } from './ring.ts'
import type { Topic } from './topic.ts'
import { createWaits } from './waits.ts'

/** What subscribers of this process share: one who looks at the database, and what was found last. */
export interface Hub {
  /**
   * Begins to collect the events of one run, or of the runs where none is named. Whatever is committed after this has resolved will be
   * among them.
   */
  join(runId: string | null): Promise<Membership>
  /** Ends every membership. */
  close(): void
  /** How many there are. */
  readonly members: number
  /** Seconds since all that was committed was last found; 0 while there are none. */
  lagSeconds(): number
}

export interface Membership {
  readonly topic: Topic
  /** The place in the topic of what was committed since: whatever is read of the past from now on, nothing lies between the two. */
  readonly begin: number
  /** Resolves with the next event of the topic, after so long, or with the end of the membership. */
  wait(millis: number): Promise<void>
  /** What was looked through to its end; null while that is not known. */
  head(): Moment | null
  /** The run is there: should it go, there will be an event. */
  noteRun(): void
  readonly isOver: boolean
  leave(): void
}

export interface HubOptions extends RingOptions, Pick<PollerOptions, 'activeMillis' | 'quietMillis' | 'onProblem'> {
  /** For the one that looks, again and again, and reads what it has found. */
  readonly watching: Rows
}

const GONE_MILLIS = 2000
const WAKE_MILLIS = 1000
const RUNS = 'runs'

export function createHub({ watching: db, onProblem, ...options }: HubOptions): Hub {
  const ring = createRing(options)
  /** Topics of runs that are known to be there. */
  const there = new Set<string>()
  const waits = createWaits()
  const leaves = new Set<() => void>()
  let ended: Run[] = []
  let lookedAt = 0
  let isMidway = false
  let timer: NodeJS.Timeout | undefined

  const poller = createPoller({
    db,
    ...options,
    onProblem,
    async onFound(found, signal) {
      isMidway = !found.isLast
      await tell(found)
      signal.throwIfAborted()
    },
    onBreak() {
      isMidway = false
      ended = []
      ring.clear()
    },
  })

  async function tell(found: Found): Promise<void> {
    const { changes, upTo, isLast } = found
    const ofRuns = ring.has(RUNS)
      ? locate(
          changes.filter(({ kind }) => kind === 'run'),
          found,
          () => RUNS,
        )
      : []
    const ofOne = locate(changes, found, ({ runId }) => topicOf(runId)).filter(({ topic }) => ring.has(topic))
    for (const { topic, event } of await hydrate(db, [...ofOne, ...ofRuns])) {
      ring.push(topic, event)
      if (event.kind !== 'RunUpdated' || topic === RUNS) continue
      there.add(event.run.runId)
      if (isFinal(event.run.status)) ended.push(event.run)
    }
    if (!isLast) return
    for (const run of ended) ring.push(topicOf(run.runId), { kind: 'RunEnded', run, place: placeAt(upTo) })
    ended = []
  }

  async function tellGone(): Promise<void> {
    const head = poller.head
    if (!head || performance.now() - lookedAt < GONE_MILLIS) return
    lookedAt = performance.now()
    const watched = [...there].filter((runId) => ring.has(topicOf(runId)))
    for (const runId of [...there]) if (!ring.has(topicOf(runId))) there.delete(runId)
    if (watched.length === 0) return
    for (const runId of await findGoneRuns(db, watched)) {
      there.delete(runId)
      ring.push(topicOf(runId), { kind: 'RunEnded', run: null, place: placeAt(head.seen) })
    }
  }

  function tick(): void {
    waits.tick()
    tellGone().catch(onProblem)
  }

  function leave(name: string): void {
    ring.close(name)
    if (leaves.size > 0) return
    poller.stop()
    clearInterval(timer)
    timer = undefined
    there.clear()
    ended = []
    isMidway = false
  }

  function enter(runId: string | null, name: string): Membership {
    const topic = ring.open(name)
    let wake: (() => void) | undefined
    const leaveOnce = () => {
      if (!leaves.delete(leaveOnce)) return
      leave(name)
      wake?.()
    }
    leaves.add(leaveOnce)
    return {
      topic,
      begin: topic.end,
      head: () => (isMidway ? null : poller.head),
      noteRun: () => void (runId !== null && there.add(runId)),
      get isOver() {
        return !leaves.has(leaveOnce)
      },
      leave: leaveOnce,
      async wait(millis) {
        if (!leaves.has(leaveOnce)) return
        const wait = waits.begin(topic, millis)
        wake = wait.wake
        await wait.over
      },
    }
  }

  return {
    get members() {
      return leaves.size
    },
    lagSeconds: poller.lagSeconds,
    async join(runId) {
      const membership = enter(runId, runId === null ? RUNS : topicOf(runId))
      timer ??= setInterval(tick, WAKE_MILLIS).unref()
      try {
        await poller.start()
      } catch (error) {
        membership.leave()
        throw error
      }
      return membership
    },
    close() {
      for (const leaveOne of [...leaves]) leaveOne()
    },
  }
}

const topicOf = (runId: string) => `run ${runId}`
