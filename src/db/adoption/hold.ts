import type pg from 'pg'
import { AppError } from '../../errors.ts'
import type { Pool } from '../pool.ts'
import { pause } from './session.ts'

/** With a seed of its own: the ids of runs are hashed without one. */
const LOCK = "hashtextextended('statelens migrate', 1)"
const TRY_MILLIS = 250
const WATCH_MILLIS = 1000

/** However long it takes, and whatever the user has set; of those that this PostgreSQL knows. */
const WITHOUT_LIMITS = `select set_config(name, '0', true) from pg_settings where name in ('statement_timeout', 'lock_timeout',
  'idle_in_transaction_session_timeout', 'transaction_timeout')`

export interface HoldOptions {
  /** Told whom it waits for, whenever that changes. */
  readonly onWait: (what: string) => void
  readonly signal?: AbortSignal
}

export interface Hold {
  /** Fires with the caller's signal, and when the connection that keeps others out is lost. */
  readonly signal: AbortSignal
  /** Tells who holds up what this migration does. */
  tellBlockers(): void
  release(): Promise<void>
}

/**
 * Keeps a second migration waiting until this one is done, or waits for the first. The lock ends with a transaction, which stays open
 * meanwhile: behind a pooler that of a session would stay with a connection that serves others.
 * @throws the signal's reason.
 */
export async function holdMigration(pool: Pool, { onWait, signal }: HoldOptions): Promise<Hold> {
  const tell = onChange(onWait)
  for (;;) {
    signal?.throwIfAborted()
    const client = await pool.connect()
    try {
      // As in any other level, its snapshot would last as long as it does, and an index that is made waits for those.
      await client.query('begin isolation level read committed')
      await client.query(WITHOUT_LIMITS)
      const { rows } = await client.query<{ isHeld: boolean }>(`select pg_try_advisory_xact_lock(${LOCK}) as "isHeld"`)
      if (rows[0]?.isHeld) return createHold(pool, client, { onWait: tell, signal })
      tell(`wait for another migration to end${describeAll((await client.query<Blocker>(HOLDER)).rows)}`)
      await client.query('rollback')
      pool.release(client)
    } catch (error) {
      client.release(true)
      throw error
    }
    await pause(TRY_MILLIS, signal)
  }
}

function createHold(pool: Pool, client: pg.PoolClient, { onWait, signal }: HoldOptions): Hold {
  const lost = new AbortController()
  let looking: Promise<void> = Promise.resolve()
  let isLooking = false
  const onEnd = () => lost.abort(new AppError('DATABASE_UNAVAILABLE', LOST))
  client.once('end', onEnd)
  // On another connection, and never two at once: an index that is made would wait for the end of this transaction for good, if it met
  // it while it reads.
  const look = (statement: string) => {
    if (isLooking) return
    isLooking = true
    looking = lookOnce(pool, statement)
      .then((text) => {
        if (text !== null) onWait(text)
      })
      .catch(() => {})
      .finally(() => {
        isLooking = false
      })
  }
  // An index that is made waits for transactions without any error.
  const timer = setInterval(() => look(BLOCKERS), WATCH_MILLIS)
  return {
    signal: signal ? AbortSignal.any([signal, lost.signal]) : lost.signal,
    tellBlockers: () => look(HOLDERS_OF_TABLES),
    async release() {
      clearInterval(timer)
      await looking
      client.off('end', onEnd)
      await client.query('rollback').then(
        () => pool.release(client),
        () => client.release(true),
      )
    },
  }
}

async function lookOnce(pool: Pool, statement: string): Promise<string | null> {
  const client = await pool.connect()
  try {
    const { rows } = await client.query<Blocker>(statement)
    pool.release(client)
    return rows.length === 0 ? null : `wait for${describeAll(rows)}`
  } catch (error) {
    pool.release(client, error)
    throw error
  }
}

const LOST = 'The connection that keeps other migrations out was lost: run it again, and it goes on from here'

interface Blocker {
  readonly pid: number
  readonly application: string | null
  readonly user: string | null
  readonly since: Date | string | null
}

const WHO = `a.pid, nullif(a.application_name, '') as application, a.usename as user,
  to_char(coalesce(a.xact_start, a.backend_start) at time zone 'UTC', 'YYYY-MM-DD HH24:MI:SS') as since`
const OURS = "a.application_name = 'statelens migrate'"

const HOLDER = `select ${WHO} from pg_locks l join pg_stat_activity a using (pid) where l.locktype = 'advisory' and l.granted
  and l.objsubid = 1 and l.database = (select oid from pg_database where datname = current_database())
  and (l.classid::bigint << 32) | l.objid::bigint = ${LOCK}`

/** Whom a statement of ours waits for at this moment. */
const BLOCKERS = `select distinct ${WHO} from pg_stat_activity w cross join lateral unnest(pg_blocking_pids(w.pid)) b(pid)
  join pg_stat_activity a on a.pid = b.pid where w.application_name = 'statelens migrate' and w.datname = current_database()
  and w.wait_event_type = 'Lock'`

/** A lock that was not had in time is not waited for any more: whoever has one on the tables may be the one. */
const HOLDERS_OF_TABLES = `select distinct ${WHO} from pg_locks l join pg_stat_activity a using (pid)
  where l.granted and a.xact_start is not null and not ${OURS} and l.database = (select oid from pg_database where datname = current_database())
    and l.relation in (to_regclass('state_snapshots'), to_regclass('statelens_runs'), to_regclass('statelens_steps'), to_regclass('workflow_steps'))
  order by since limit 3`

function describeAll(blockers: readonly Blocker[]): string {
  return blockers
    .map(
      ({ pid, application, user, since }) =>
        ` pid ${pid} (${[application ?? 'no application name', `user ${user ?? 'unknown'}`, `since ${since} UTC`].join(', ')})`,
    )
    .join(',')
}

function onChange(tell: (text: string) => void): (text: string) => void {
  let last = ''
  return (text) => {
    if (text !== last) tell(text)
    last = text
  }
}
