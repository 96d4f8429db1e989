import { sql } from 'kysely'
import type { StopSignal } from '../abort.ts'
import { type AppError, isAppError } from '../errors.ts'
import { type AtLeast, LAST_POSITION, type Position, readPosition, type WriteMark } from '../model/position.ts'
import type { Database, Rows } from './connect.ts'
import { createStandby, type Standby, type StandbyOptions } from './standby.ts'
import { createWriteMarks } from './write-marks.ts'

export interface Asking {
  readonly signal?: StopSignal | undefined
  /** By what one viewer is told from another. */
  readonly viewer: string
  readonly atLeast?: AtLeast
}

/**
 * Where lists and states are read: at the primary, or at a standby where there is one. Whoever wrote sees what he wrote: until the
 * standby shows it he reads the primary.
 */
export interface Reads {
  /** What one request reads by. It goes over to the primary at most once, and never back: what it has seen does not vanish. */
  share(asking: Asking): Rows
  /** For what never changes: what is not found there may be at the primary. */
  readonly unchanging: Rows
  /**
   * Remembers that a viewer has written something, once it is committed.
   * @returns what others have to name to see it; undefined where all of them do. It never rejects.
   */
  noteWrite(viewer: string): Promise<Position | undefined>
  /** Undefined where there is none. */
  readonly standby: Pick<Standby, 'state' | 'lagSeconds'> | undefined
  close(): Promise<void>
}

/** What other processes of this server know, and are told. */
export interface SharedMarks {
  noteWrite(mark: WriteMark): Promise<void>
  onWrite(listener: (mark: WriteMark) => void): void
}

export interface ReadsOptions extends Omit<StandbyOptions, 'url'> {
  readonly primary: Database
  /** Undefined: everything is read at the primary. */
  readonly url: string | undefined
  /** Told of a statement that failed at the standby, and was asked of the primary. */
  readonly onFallback: (error: unknown) => void
  readonly shared?: SharedMarks | undefined
}

/** Marks count a little longer than a standby may be behind that is read. */
const SLACK_SECONDS = 10

export function createReads({ url, primary, onFallback, shared, ...options }: ReadsOptions): Reads {
  const { lagMaxSeconds } = options
  if (url === undefined) {
    return {
      share: ({ signal }) => primary.share(signal),
      unchanging: primary,
      noteWrite: async () => undefined,
      standby: undefined,
      close: async () => {},
    }
  }
  const standby = createStandby({ ...options, url })
  const marks = createWriteMarks(lagMaxSeconds + SLACK_SECONDS)
  const position = createPositions(primary)
  shared?.onWrite(marks.add)

  /** What must be shown; null: nobody but the primary does. */
  function needOf({ viewer, atLeast }: Asking): bigint | undefined | null {
    if (atLeast === 'all') return null
    const own = marks.of(viewer)
    const asked = atLeast === undefined ? undefined : readPosition(atLeast)
    return asked == null ? own : own === undefined || own < asked ? asked : own
  }

  function route(signal: StopSignal | undefined, need: () => bigint | undefined | null): Rows {
    let first: Rows | undefined
    let second: Rows | undefined
    const atPrimary = () => {
      second ??= primary.share(signal)
      return second
    }
    return {
      rows(query, given) {
        const needed = second ? null : need()
        if (needed === null || !standby.shows(needed)) return atPrimary().rows(query, given)
        first ??= standby.share(signal)
        return first.rows(query, given).catch((error: unknown) => {
          if ((given?.signal ?? signal)?.aborted || !isAway(error)) throw error
          if (!isOfStatement(error)) standby.suspect(error)
          onFallback(error)
          return atPrimary().rows(query, given)
        })
      },
    }
  }

  return {
    standby,
    share: (asking) => route(asking.signal, () => needOf(asking)),
    unchanging: { rows: (query, given) => route(given?.signal, () => undefined).rows(query, given) },
    async noteWrite(viewer) {
      const mark = { viewer, position: await position().catch(() => LAST_POSITION) }
      marks.add(mark)
      await shared?.noteWrite(mark).catch(() => {})
      return mark.position
    },
    close: () => standby.close(),
  }
}

/** Whether another server may do what this one did not: a statement that takes too long does so everywhere. */
function isAway(error: unknown): error is AppError {
  return isAppError(error) && (error.code === 'DATABASE_UNAVAILABLE' || error.code === 'OVERLOADED')
}

/** Of one that was in the way of what is replayed, or that would have written, and of nothing else. */
function isOfStatement({ cause }: { readonly cause?: unknown }): boolean {
  return cause instanceof Error && 'code' in cause && (cause.code === '40001' || cause.code === '25006')
}

const POSITION = sql`select pg_current_wal_insert_lsn()::text`

/** Where the log ends. Whoever asks while a statement is under way waits for the next one, with all others. */
function createPositions(primary: Rows): () => Promise<Position> {
  let running: Promise<Position> | undefined
  let next: Promise<Position> | undefined
  const read = async () => String((await primary.rows(POSITION))[0]?.[0])
  const start = (): Promise<Position> => {
    const mine = read().finally(() => {
      if (running === mine) running = undefined
    })
    running = mine
    return mine
  }
  return () => {
    if (!running) return start()
    next ??= running
      .catch(() => {})
      .then(() => {
        next = undefined
        return start()
      })
    return next
  }
}
