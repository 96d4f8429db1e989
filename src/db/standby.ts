import { sql } from 'kysely'
import { createStop, type Stop } from '../abort.ts'
import { AppError } from '../errors.ts'
import { readPosition } from '../model/position.ts'
import { type Rows, shareOf } from './connect.ts'
import { createExecutor, type ExecuteOptions } from './executor.ts'
import { createLag } from './lag.ts'
import { createPool, type Limits } from './pool.ts'
import { compile } from './statements.ts'

export interface StandbyOptions {
  /** Of the standby, or of whatever leads to one. */
  readonly url: string
  /** Of what it follows. */
  readonly primaryUrl: string
  readonly maxConnections: number
  /** Further behind, nothing is read there. */
  readonly lagMaxSeconds: number
  /** Told when it cannot be read any more, and when it can. */
  readonly onChange: (state: StandbyState, error?: unknown) => void
  readonly onStatement?: ((text: string) => void) | undefined
}

/** `behind`: it answers, and lacks too much. `other`: it is no standby of that primary. */
export type StandbyState = 'up' | 'behind' | 'down' | 'other'

/** A hot standby that is looked at twice a second. */
export interface Standby {
  readonly state: StandbyState
  /** Null while nobody knows. */
  readonly lagSeconds: number | null
  /** Whether it can be read, and shows all before that position. */
  shows(position: bigint | undefined): boolean
  share(signal?: ExecuteOptions['signal']): Rows
  /** A statement failed there: nothing is read until it was looked at. */
  suspect(error: unknown): void
  close(): Promise<void>
}

const LOOK_MILLIS = 500
/** One that does not answer keeps nobody waiting for long. */
const LOOK_LIMITS: Limits = {
  connectionTimeoutMillis: 1000,
  statement_timeout: 1000,
  query_timeout: 1500,
  lock_timeout: 1000,
  idle_in_transaction_session_timeout: 10_000,
}

/** Which server it is, whether it follows another one, and how far its log goes: everybody may ask for that. */
const WHERE = compile(sql`
  select (select system_identifier from pg_control_system())::text, pg_postmaster_start_time()::text,
    pg_is_in_recovery()::text,
    (case when pg_is_in_recovery() then pg_last_wal_replay_lsn() else pg_current_wal_insert_lsn() end)::text,
    (case when pg_is_in_recovery() then extract(epoch from now() - pg_last_xact_replay_timestamp()) end)::text`)

interface Where {
  readonly system: string
  readonly startedAt: string
  readonly follows: boolean
  readonly position: bigint
  readonly ageSeconds: number | null
}

export function createStandby(options: StandbyOptions): Standby {
  const { url, primaryUrl, maxConnections, lagMaxSeconds, onChange, onStatement } = options
  const pool = createPool({ url, max: maxConnections, applicationName: 'statelens reads' })
  const looks = createLooks(url)
  const looksAtPrimary = createLooks(primaryUrl)
  const execute = createExecutor(pool)
  const lag = createLag()
  let state: StandbyState = 'down'
  let replayed = 0n
  let outage = createStop()
  let isClosed = false
  let timer: NodeJS.Timeout | undefined

  function become(next: StandbyState, error?: unknown): void {
    if (next === state) return
    state = next
    onChange(next, error)
    if (next === 'up') return
    const ended = outage
    outage = createStop()
    // Whoever waits for it asks the primary.
    ended.abort(new AppError('DATABASE_UNAVAILABLE', 'The standby cannot be read', { cause: error }))
  }

  async function look(): Promise<void> {
    try {
      // The primary's first: what it has written by then is what the standby is compared with.
      const written = await looksAtPrimary.ask().catch(() => null)
      const at = performance.now()
      const found = await looks.ask()
      ;({ position: replayed } = found)
      if (written === null) return become(state === 'down' ? 'up' : state)
      const isSame = written.startedAt === found.startedAt && written.system === found.system
      if (written.system !== found.system || (!found.follows && !isSame)) return become('other')
      lag.add(at, { written: written.position, replayed, ageSeconds: found.ageSeconds })
      become((lag.seconds() ?? 0) > lagMaxSeconds ? 'behind' : 'up')
    } catch (error) {
      become('down', error)
    }
  }

  async function lookAgain(): Promise<void> {
    await look()
    if (!isClosed) timer = setTimeout(lookAgain, LOOK_MILLIS).unref()
  }

  const first = lookAgain()
  return {
    get state() {
      return state
    },
    get lagSeconds() {
      return lag.seconds()
    },
    shows: (position) => state === 'up' && (position === undefined || position <= replayed),
    share: (signal) =>
      shareOf((query, asked) => {
        const statement = 'text' in query ? query : compile(query)
        onStatement?.(statement.text)
        return unlessOver(outage, execute(statement, asked))
      }, signal),
    suspect: (error) => become('down', error),
    async close() {
      isClosed = true
      clearTimeout(timer)
      await first
      await Promise.all([pool.end(), looks.end(), looksAtPrimary.end()])
    },
  }
}

/** Asks a server where it is, on a connection that requests do not use. */
function createLooks(url: string): { ask(): Promise<Where>; end(): Promise<void> } {
  const pool = createPool({ url, max: 1, limits: LOOK_LIMITS, applicationName: 'statelens looks' })
  const execute = createExecutor(pool)
  return { ask: async () => whereOf(await execute(WHERE, {})), end: () => pool.end() }
}

function whereOf(rows: readonly unknown[][]): Where {
  const [[system, startedAt, follows, position, age] = []] = rows
  const place = readPosition(String(position))
  if (place === null) throw new AppError('DATABASE_UNAVAILABLE', 'The standby does not say how far it is')
  return {
    system: String(system),
    startedAt: String(startedAt),
    follows: follows === 'true',
    position: place,
    ageSeconds: age == null ? null : Number(age),
  }
}

/** Rejects as soon as the standby is known to be away, whatever the connection still waits for. */
function unlessOver<T>(outage: Stop, work: Promise<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    const leave = () => reject(outage.reason)
    outage.addEventListener('abort', leave)
    work.then(resolve, reject).finally(() => outage.removeEventListener('abort', leave))
  })
}
