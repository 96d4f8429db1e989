import type { Database } from '../db/connect.ts'
import { CHANGE_KINDS } from '../db/queries/changes.ts'
import { AppError } from '../errors.ts'
import type { RunFilter } from '../model/run.ts'
import type { LiveEvent } from './event.ts'
import { createHub, type HubOptions } from './hub.ts'
import { type After, beginAt, begun, joined } from './open.ts'
import { createReplay, type Pace } from './replay.ts'
import { matchesRun } from './run-filter.ts'
import { createRunPast } from './run-past.ts'
import { createRunsPast } from './runs-past.ts'
import { createTail } from './tail.ts'
import { createWatch, type Watch } from './watch.ts'

/** What happens to runs, told as it is committed, whoever committed it. */
export interface Events {
  /**
   * The history of a run behind a cursor, or all of it, and then what happens, until the run ends or is deleted.
   * @throws AppError `BAD_REQUEST` for what is no cursor of this run; `DATABASE_UNAVAILABLE` and others while nothing can be read.
   */
  watchRun(options: WatchRunOptions): Promise<Watch>
  /** Runs as they change, from a cursor or from now on. It throws as `watchRun` does. */
  watchRuns(options: WatchRunsOptions): Promise<Watch>
  /** The snapshots of a run once more, at their pace. @throws AppError `BAD_REQUEST` also for a pace that cannot be. */
  replayRun(options: ReplayRunOptions): Promise<Watch>
  /** Lets go of all who watch. */
  close(): void
  /** How many watch what happens. */
  readonly watching: number
  /** Seconds since all that was committed was last found; 0 while nobody watches. */
  lagSeconds(): number
}

export interface WatchRunOptions extends After {
  readonly runId: string
}

export interface WatchRunsOptions extends After {
  /** Of the runs as they are then. */
  readonly filter: RunFilter
}

export interface ReplayRunOptions extends WatchRunOptions, Pace {}

export interface EventsOptions extends HubOptions {
  /** For what those who come are told of the past: a few statements at a time, however many come at once. */
  readonly db: Database
  /** After so long without an event there is one that says that all is told; default 15,000. */
  readonly idleMillis?: number | undefined
}

const IDLE_MILLIS = 15_000
const SPEED_MAX = 1_000_000
const GAP_MAX_MILLIS = 3_600_000

export function createEvents({ db: database, idleMillis = IDLE_MILLIS, ...options }: EventsOptions): Events {
  const db = database.share()
  const hub = createHub(options)

  return {
    async watchRun({ runId, ...asked }) {
      const beginning = await beginAt(db, ['run', runId], asked)
      return await joined(hub, runId, async (membership) => {
        const onThere = () => {
          beginning.onThere()
          membership.noteRun()
        }
        const past = createRunPast({ db, runId, kinds: CHANGE_KINDS, ...beginning, onThere })
        return createTail({ membership, past: await begun(past, asked.signal), ...beginning, idleMillis })
      })
    },
    async watchRuns({ filter, ...asked }) {
      const isWanted = (event: LiveEvent) => event.kind !== 'RunUpdated' || matchesRun(event.run, filter)
      const beginning = await beginAt(db, ['runs'], asked)
      return await joined(hub, null, async (membership) => {
        const past = createRunsPast({ db, isWanted, ...beginning })
        return createTail({ membership, past: await begun(past, asked.signal), ...beginning, isWanted, idleMillis })
      })
    },
    async replayRun({ runId, speed, maxGapMs, ...asked }) {
      requirePace({ speed, maxGapMs })
      const beginning = await beginAt(db, ['replay', runId], asked)
      const past = createRunPast({ db, runId, kinds: ['snapshot'], ...beginning })
      return createWatch(createReplay({ past: await begun(past, asked.signal), ...beginning, speed, maxGapMs }))
    },
    close: () => hub.close(),
    lagSeconds: hub.lagSeconds,
    get watching() {
      return hub.members
    },
  }
}

function requirePace({ speed, maxGapMs }: Pace): void {
  if (!(speed > 0 && speed <= SPEED_MAX)) throw new AppError('BAD_REQUEST', `speed must be above 0, up to ${SPEED_MAX}`)
  if (!(maxGapMs >= 0 && maxGapMs <= GAP_MAX_MILLIS)) {
    throw new AppError('BAD_REQUEST', `maxGapMs must be 0 to ${GAP_MAX_MILLIS}`)
  }
}
