import type { Rows } from '../db/connect.ts'
import {
  type Change,
  type ChangeKind,
  type ChangePage,
  type HistoryPage,
  type RunState,
  readHistory,
} from '../db/queries/changes.ts'
import { loadRuns } from '../db/queries/runs.ts'
import { AppError } from '../errors.ts'
import { isFinal, RUN_FIELDS } from '../model/run.ts'
import { hasSeen, type Seen } from '../model/seen.ts'
import { BEGINNING, type Place } from './cursor.ts'
import { type LiveEvent, placeAt } from './event.ts'
import { hydrate } from './hydrate.ts'
import type { Past, PastPage } from './tail.ts'

export interface RunPastOptions {
  readonly db: Rows
  readonly runId: string
  readonly begin: Place
  readonly kinds: readonly ChangeKind[]
  /** Told what numbers the transactions, before it is told of events by those numbers. */
  readonly onCluster: (cluster: string) => void
  /** Told when the run is there. */
  readonly onThere: () => void
  /** Whether it has been there: if it is not any more, it was deleted. */
  readonly wasThere: () => boolean
}

const PAGE = 200

/** The history of a run behind a place: the run, its steps, its snapshots, then that it is caught up, and perhaps that the run has ended. */
export function createRunPast({ db, runId, begin, kinds, onCluster, ...told }: RunPastOptions): Past {
  let { since, round } = begin
  /** Whether the round was begun here, and ends where what is live begins. */
  let isOwn = false
  let cluster: string | null = null

  /** Numbers of another cluster mean nothing here, and one that lost some of its own begins them again. */
  function hasBroken({ now }: ChangePage): boolean {
    if (now.cluster === '')
      throw new AppError('DATABASE_UNAVAILABLE', 'The database takes no writes, and tells of none')
    const isOther = (cluster !== null && cluster !== now.cluster) || (since !== null && since.end > now.seen.end)
    cluster = now.cluster
    onCluster(cluster)
    return isOther
  }

  async function readPage(signal: AbortSignal): Promise<HistoryPage> {
    const options = { runId, kinds, limit: PAGE, signal }
    const page = await readHistory(db, { ...options, since, upTo: round?.upTo ?? null, after: keyOf(round) })
    if (!hasBroken(page)) return page
    begunAnew()
    return await readPage(signal)
  }

  function begunAnew(place: Place = BEGINNING): void {
    since = place.since
    round = place.round
    isOwn = false
  }

  async function endOf({ status, xid, isDeleted }: RunState, seen: Seen): Promise<readonly LiveEvent[]> {
    if (isDeleted || (status === null && told.wasThere()))
      return [{ kind: 'RunEnded', run: null, place: placeAt(seen) }]
    // What is not seen yet is told when it comes, behind what came before it.
    const isEnded = status !== null && isFinal(status) && (xid === null || hasSeen(seen, xid))
    if (!isEnded) return []
    const [run = null] = await loadRuns(db, [runId], RUN_FIELDS.all)
    return [{ kind: 'RunEnded', run, place: placeAt(seen) }]
  }

  return {
    goBack: begunAnew,
    async read(signal): Promise<PastPage> {
      const { now, changes, isLast, run } = await readPage(signal)
      if (run.status !== null) told.onThere()
      if (round === null) isOwn = true
      const upTo = round?.upTo ?? now.seen
      const located = changes.map((change) => ({
        change,
        topic: '',
        place: { since, round: { upTo, ...keyed(change) } },
      }))
      const events = (await hydrate(db, located)).map(({ event }) => event)
      const last = changes.at(-1)
      if (!isLast && last) {
        round = { upTo, ...keyed(last) }
        return { events, seen: null }
      }
      const end = isOwn ? await endOf(run, upTo) : []
      since = upTo
      round = null
      if (!isOwn) return { events, seen: null }
      isOwn = false
      return { events: [...events, { kind: 'CaughtUp', place: placeAt(upTo) }, ...end], seen: upTo }
    },
  }
}

function keyed({ kind, key }: Change) {
  return { kind, key: kind === 'run' ? '' : key }
}

function keyOf(round: Place['round']) {
  return round && { kind: round.kind, key: round.key }
}
