import { sql } from 'kysely'
import { isAppError } from '../../errors.ts'
import { SNAPSHOT_FIELDS, type Snapshot, type StorageState } from '../../model/snapshot.ts'
import type { Database } from '../connect.ts'
import { STRAY_RUNS } from '../replicated-rows.ts'
import { IS_OBJECT, projectSnapshot } from './snapshot-columns.ts'
import { runs, SNAPSHOTS, STEPS, snapshotsOf } from './sources.ts'

export interface ServerFacts {
  /** `18.4` */
  readonly version: string
  /** `180004` */
  readonly versionNumber: number
  readonly encoding: string
  /** Of the session, as `ISO, MDY`. */
  readonly dateStyle: string
  /** A standby, or a database that was set to refuse writes. */
  readonly isReadOnly: boolean
  /** Whether a policy of the table of snapshots decides which rows the user sees. */
  readonly hidesRows: boolean
  /** Whether the user may make tables where ours belong. */
  readonly mayCreate: boolean
  /** Whether the user may widen the table of snapshots; true where there is none. */
  readonly mayAlter: boolean
  readonly freeConnections: number
}

/** Asks what any version can answer, with or without our tables. */
export async function loadServerFacts(db: Database): Promise<ServerFacts> {
  const [row = []] = await db.rows(sql`
    select current_setting('server_version'), current_setting('server_version_num')::int, current_setting('server_encoding'),
      current_setting('DateStyle'),
      pg_is_in_recovery() or current_setting('default_transaction_read_only') = 'on',
      coalesce(row_security_active(to_regclass('state_snapshots')::oid), false),
      coalesce(has_schema_privilege(coalesce((select relnamespace from pg_class where oid = to_regclass('state_snapshots')),
        current_schema()::regnamespace::oid), 'CREATE'), false),
      coalesce((select pg_has_role(relowner, 'USAGE') from pg_class where oid = to_regclass('state_snapshots')), true),
      current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int
        - (select count(*) from pg_stat_activity where datname is not null)::int`)
  const [version, versionNumber, encoding, dateStyle, isReadOnly, hidesRows, mayCreate, mayAlter, freeConnections] = row
  return {
    version,
    versionNumber,
    encoding,
    dateStyle,
    isReadOnly,
    hidesRows,
    mayCreate,
    mayAlter,
    freeConnections,
  } as ServerFacts
}

/** The rights that the user lacks on tables of ours that are there, such as `INSERT, UPDATE on statelens_runs, statelens_steps`. */
export async function loadMissingRights(db: Database): Promise<readonly string[]> {
  const rows = await db.rows(sql`
    select verbs || ' on ' || string_agg(name, ', ' order by name) from (
      select relname::text as name, string_agg(verb, ', ' order by position) as verbs
      from pg_class, unnest('{SELECT,INSERT,UPDATE,DELETE}'::text[]) with ordinality as v(verb, position)
      where (relname = 'state_snapshots' or relname like 'statelens\\_%') and relkind in ('r', 'p') and pg_table_is_visible(oid)
        -- The command "migrate" alone writes the one, and uses the other.
        and (relname <> 'statelens_migrations' or verb = 'SELECT') and relname <> 'statelens_migrations_lock'
        and not has_table_privilege(oid, verb)
      group by relname
    ) t group by verbs order by verbs`)
  return rows.map(([right]) => right as string)
}

export interface SnapshotCount extends Pick<Snapshot, 'isOwn' | 'storageState'> {
  readonly tier: 'INLINE' | 'OBJECT'
  readonly count: number
}

/** How many snapshots there are of each sort that exists. @throws AppError `DATABASE_TIMEOUT` where they are too many. */
export async function countSnapshots(db: Database): Promise<readonly SnapshotCount[]> {
  const { columns, read } = projectSnapshot(SNAPSHOT_FIELDS.pick(['isOwn', 'storageState']))
  const rows = await db.rows(sql`
    select count(*), ${IS_OBJECT}, ${columns} from ${SNAPSHOTS} group by 2, 3, 4`)
  return rows.map((row) => {
    const { isOwn, storageState } = read(row, 2)
    return {
      isOwn,
      storageState: storageState as StorageState,
      tier: row[1] ? 'OBJECT' : 'INLINE',
      count: Number(row[0]),
    }
  })
}

/** PostgreSQL's own estimate, which costs nothing. */
export async function estimateSnapshots(db: Database): Promise<number> {
  const [row = []] = await db.rows(sql`
    select greatest(reltuples, 0)::bigint from pg_class where oid = 'state_snapshots'::regclass`)
  return Number(row[0])
}

export async function countRunsAndSteps(db: Database): Promise<{ readonly runs: number; readonly steps: number }> {
  const [row = []] = await db.rows(sql`
    select (select count(*) from ${runs()}), (select count(*) from ${STEPS})`)
  return { runs: Number(row[0]), steps: Number(row[1]) }
}

/** Runs whose rows came past the triggers, and which nobody sees. */
export async function countStrayRuns(db: Database): Promise<number> {
  const [row = []] = await db.rows(sql`select count(*) from ${STRAY_RUNS} s`)
  return Number(row[0])
}

export interface Leftovers {
  /** Captures that never ended, and uploads whose time is over. */
  readonly abandoned: number
  /** Objects to be deleted that nobody deletes, or that the store keeps. */
  readonly undeleted: number
}

/** What a sweeper should have removed by now: for over an hour. */
export async function countLeftovers(db: Database): Promise<Leftovers> {
  const [row = []] = await db.rows(sql`
    select
      count(*) filter (where state = 'pending' and greatest(created_at, not_before) < now() - interval '65 minutes'),
      -- Pauses between attempts double: the seventh comes after about an hour.
      count(*) filter (where state = 'doomed' and (attempts > 6 or not_before < now() - interval '1 hour'))
    from statelens_objects where state <> 'live'`)
  return { abandoned: Number(row[0]), undeleted: Number(row[1]) }
}

/** Whose row it is, and where its payload lies. */
export const SAMPLE_KINDS = ['own-inline', 'own-object', 'foreign-inline', 'foreign-object', 'foreign-both'] as const
export type SampleKind = (typeof SAMPLE_KINDS)[number]

const KIND = sql`case when s.request_digest is null then 'foreign-' else 'own-' end || case
  when s.storage_uri is null then 'inline'
  when s.snapshot is not null and s.request_digest is null then 'both' else 'object' end`
const IS_READABLE = sql`s.storage_uri is not null or s.payload is not null or s.snapshot is not null`

/**
 * One snapshot of each kind that there is, of at most `maxBytes`: the newest among the newest runs, or else any. A kind that
 * cannot be found in time is left out.
 */
export async function findSamples(db: Database, maxBytes: number): Promise<ReadonlyMap<SampleKind, string>> {
  const isSmall = sql`coalesce(s.size_bytes, 0) <= ${maxBytes}::bigint`
  const recent = await db.rows(sql`
    select distinct on (kind) kind, id
    from (select run_id from ${runs()} order by created_at desc, run_id desc limit 200) r
    cross join lateral (
      select ${KIND} as kind, id, seq from ${snapshotsOf(sql.raw('r.run_id'))}
        and (${IS_READABLE}) and ${isSmall} order by s.seq desc limit 50
    ) s order by kind, seq desc`)
  const found = new Map(recent as [SampleKind, string][])
  const missing = SAMPLE_KINDS.filter((kind) => !found.has(kind))
  // Each may read all there is: few at a time, for their connections are few.
  const share = db.share()
  const others = await Promise.all(
    missing.map((kind) =>
      share
        .rows(sql`
          select ${kind}::text, id from ${SNAPSHOTS}
          and ${KIND} = ${kind} and (${IS_READABLE}) and ${isSmall} limit 1`)
        .catch((error: unknown) => {
          if (isAppError(error, 'DATABASE_TIMEOUT')) return []
          throw error
        }),
    ),
  )
  for (const [kind, id] of others.flat() as [SampleKind, string][]) found.set(kind, id)
  return found
}
