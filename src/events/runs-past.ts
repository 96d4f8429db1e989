import type { Rows } from '../db/connect.ts'
import { type Change, type ChangePage, type Moment, readChanges, readMoment } from '../db/queries/changes.ts'
import { AppError } from '../errors.ts'
import type { Seen } from '../model/seen.ts'
import { BEGINNING, type Place } from './cursor.ts'
import { type LiveEvent, placeAt } from './event.ts'
import { hydrate } from './hydrate.ts'
import { locate } from './locate.ts'
import type { Past, PastPage } from './tail.ts'

export interface RunsPastOptions {
  readonly db: Rows
  /** Null: from now on. */
  readonly begin: Place
  readonly isWanted: (event: LiveEvent) => boolean
  /** Told what numbers the transactions, before it is told of events by those numbers. */
  readonly onCluster: (cluster: string) => void
}

const PAGE = 200

/** Runs that changed since a place, in the order of that. Without a place it begins now: lists tell what was before. */
export function createRunsPast({ db, begin, isWanted, onCluster }: RunsPastOptions): Past {
  let since: Seen | null = begin.since
  let round: { readonly moment: Moment; readonly last: Change } | null = null
  let cluster: string | null = null

  /** Whether what was seen says nothing of what is there. */
  function hasBroken(now: Moment): boolean {
    if (now.cluster === '')
      throw new AppError('DATABASE_UNAVAILABLE', 'The database takes no writes, and tells of none')
    const isOther = (cluster !== null && cluster !== now.cluster) || (since !== null && since.end > now.seen.end)
    cluster = now.cluster
    onCluster(cluster)
    return isOther
  }

  async function readPage(from: Seen, signal: AbortSignal): Promise<ChangePage> {
    const asked = round && { snapshot: round.moment.snapshot, last: round.last }
    return await readChanges(db, { since: from, round: asked, kinds: ['run'], limit: PAGE, signal })
  }

  function goBack(place: Place): void {
    since = place.since
    round = null
  }

  return {
    goBack,
    async read(signal): Promise<PastPage> {
      const page = since
        ? await readPage(since, signal)
        : { now: await readMoment(db, { signal }), changes: [], isLast: true }
      if (hasBroken(page.now)) {
        goBack(BEGINNING)
        return { events: [], seen: null }
      }
      const { changes, isLast } = page
      const moment = round?.moment ?? page.now
      const located = locate(changes, { changes, upTo: moment.seen, isLast }, () => '')
      const events = (await hydrate(db, located)).map(({ event }) => event).filter(isWanted)
      const last = changes.at(-1)
      round = isLast || !last ? null : { moment, last }
      if (round) return { events, seen: null }
      since = moment.seen
      return { events: [...events, { kind: 'CaughtUp', place: placeAt(since) }], seen: since }
    },
  }
}
