import { type Kysely, sql } from 'kysely'
import { AppError } from '../../errors.ts'
import { findConditions } from './conditions.ts'
import type { SnapshotTable } from './inspect.ts'
import { run } from './session.ts'

/** What the server, the user and the table's owner have set that a migration meets. */
export interface Obstacles {
  /** Why it cannot be done; nothing is changed before they are gone. */
  readonly problems: readonly string[]
  /** What whoever does it should know. */
  readonly notes: readonly string[]
}

const OLDEST_VERSION = 140_000

/** Reads settings and the catalog. @param table as it is; rows of one that is not complete yet are updated. */
export async function findObstacles(
  db: Kysely<unknown>,
  table: SnapshotTable | null,
  isPooled: boolean,
): Promise<Obstacles> {
  const problems = [...(await problemsOfServer(db, table?.isWidened ?? true)), ...(table?.problems ?? [])]
  const limits = await limitsOfUser(db)
  const notes = isPooled
    ? []
    : limits.map((limit) => `${limit} is set for this user or database: migrate goes without it.`)
  if (isPooled && limits.length > 0) {
    problems.push(
      `A pooler is on the way, past which ${limits.join(' and ')} cannot be lifted: let DATABASE_URL lead to PostgreSQL itself.`,
    )
  }
  if (!table?.isAdopted || table.isComplete) return { problems, notes }
  const meets = await ofUpdates(db)
  return {
    problems: [...problems, ...meets.problems],
    notes: [...(table?.notes ?? []), ...(await findConditions(db)), ...meets.notes, ...notes],
  }
}

interface Server {
  readonly version: number
  readonly encoding: string
  readonly schema: string | null
  readonly isStandby: boolean
  readonly isReadOnly: boolean
  readonly mayCreate: boolean
  readonly isOwner: boolean
}

async function problemsOfServer(db: Kysely<unknown>, isWidened: boolean): Promise<string[]> {
  const { rows } = await sql<Server>`
    select current_setting('server_version_num')::int as version, current_setting('server_encoding') as encoding,
      pg_is_in_recovery() as "isStandby", current_setting('default_transaction_read_only') = 'on' as "isReadOnly",
      schema, coalesce(has_schema_privilege(schema, 'CREATE'), false) as "mayCreate",
      -- A sequence that belongs to the table is made by its owner alone, and by no superuser.
      coalesce(case when ${isWidened} then pg_has_role(relowner, 'USAGE') else relowner::regrole::text = quote_ident(current_user) end, true)
        as "isOwner"
    from (select 1) one left join pg_class c on c.oid = to_regclass('state_snapshots')
      cross join lateral (select coalesce(relnamespace::regnamespace::text, quote_ident(current_schema())) as schema) s`.execute(
    db,
  )
  const [server] = rows
  if (!server) return []
  const problems: string[] = []
  if (server.version < OLDEST_VERSION) problems.push('PostgreSQL is too old: 14 is the oldest that works.')
  if (server.encoding !== 'UTF8') problems.push(`The database is encoded in ${server.encoding}; it must be UTF8.`)
  if (server.isStandby) problems.push('The server is a standby: let DATABASE_URL name the primary.')
  else if (server.isReadOnly)
    problems.push('default_transaction_read_only is on for this user or database: reset it, or use another user.')
  if (server.schema === null) problems.push('There is no schema for new tables: create one that search_path names.')
  else if (!server.mayCreate)
    problems.push(`The user may not make tables: grant CREATE on the schema ${server.schema}.`)
  if (!server.isOwner) problems.push('The user does not own state_snapshots: migrate as its owner.')
  return problems
}

/** `statement_timeout = 250ms`, of what ends statements, transactions and sessions. */
async function limitsOfUser(db: Kysely<unknown>): Promise<readonly string[]> {
  const { rows } = await sql<{ text: string }>`
    select name || ' = ' || current_setting(name) as text from pg_settings where setting <> '0'
      and name in ('statement_timeout', 'idle_session_timeout', 'idle_in_transaction_session_timeout', 'transaction_timeout')
      and source not in ('default', 'client', 'session') order by name`.execute(db)
  return rows.map(({ text }) => text)
}

/** What every row meets when it is completed. */
async function ofUpdates(db: Kysely<unknown>): Promise<Obstacles> {
  const { rows } = await sql<{ text: string; isProblem: boolean }>`
    with t as (select oid, relname, relnamespace::regnamespace::text as schema, relreplident from pg_class
      where oid = to_regclass('state_snapshots'))
    select true as "isProblem", 'Row-level security applies to this user: migrate as a user with BYPASSRLS, or "alter table '
      || 'state_snapshots no force row level security" meanwhile.' as text from t where row_security_active(oid)
    union all
    select true, format('The rule %s takes the place of updates: "alter table state_snapshots disable rule %1$s" meanwhile.', rulename)
    from pg_rewrite r join t on t.oid = ev_class where ev_type = '2' and is_instead and ev_enabled <> 'D'
    union all
    -- Of the bits, 16 is update.
    select false, format('The trigger %s fires for each row that is completed, once: "alter table state_snapshots disable trigger %1$s" '
      || 'meanwhile where that does harm. One that refuses updates, or skips them, is noticed before anything is changed.', tgname)
    from pg_trigger join t on t.oid = tgrelid where not tgisinternal and tgenabled <> 'D' and tgtype & 16 = 16
      and tgname not like 'statelens\\_%'
    union all
    select false, format('The publication %s sends the table: add the new columns at its subscribers first, or let it send a list of '
      || 'columns, or they stop at the next row.', p.pubname)
    from pg_publication_tables p join t on p.schemaname = t.schema and p.tablename = t.relname
    union all
    select true, format('The publication %s sends updates, and the table has no replica identity: "alter table state_snapshots '
      || 'replica identity full", or leave it out of the publication.', p.pubname)
    from pg_publication_tables p join t on p.schemaname = t.schema and p.tablename = t.relname
      join pg_publication b on b.pubname = p.pubname and b.pubupdate
    where relreplident = 'n' or relreplident = 'd' and not exists (select from pg_index where indrelid = t.oid and indisprimary)
    order by 1 desc, 2`.execute(db)
  const textsOf = (wanted: boolean) => rows.flatMap(({ isProblem, text }) => (isProblem === wanted ? [text] : []))
  return { problems: textsOf(true), notes: textsOf(false) }
}

const LOOK_AT = 'look at the triggers, rules, policies and publications of state_snapshots'

/**
 * Updates one row and takes it back, within the transaction that is under way.
 * @throws AppError `CONFLICT` when the row stays as it is, or PostgreSQL refuses.
 */
export async function tryUpdate(tx: Kysely<unknown>): Promise<void> {
  await run(tx, 'savepoint statelens_try')
  const { rows } = await sql<{ found: string; changed: string }>`
    with one as materialized (select ctid from state_snapshots limit 1 for update skip locked),
    changed as (update state_snapshots s set storage_uri = s.storage_uri from one where s.ctid = one.ctid returning 1)
    select (select count(*) from one) as found, (select count(*) from changed) as changed`
    .execute(tx)
    .catch((error: unknown) => {
      throw asRefusal(error)
    })
  await run(tx, 'rollback to savepoint statelens_try')
  if (rows[0]?.found === '1' && rows[0].changed === '0') {
    throw new AppError(
      'CONFLICT',
      `Rows of state_snapshots cannot be updated, and all of them have to be, once: ${LOOK_AT}.`,
    )
  }
}

/** @throws AppError `CONFLICT`: rows were asked for twice, and none has changed. */
export function refuseUnchanged(rows: number): never {
  throw new AppError('CONFLICT', `${rows} rows of state_snapshots stay as they are when they are updated: ${LOOK_AT}.`)
}

/** What the owner's own words are, they are told; other messages may quote a row. */
export function asRefusal(error: unknown): unknown {
  if (!(error instanceof Error && 'code' in error && typeof error.code === 'string')) return error
  if (!/^(P0|23|0A|42501|55000|09|27)/.test(error.code)) return error
  const words = /^(P0|0A|55000)/.test(error.code) ? `"${error.message}", ` : ''
  const constraint =
    'constraint' in error && typeof error.constraint === 'string' ? `constraint ${error.constraint}, ` : ''
  const message = `A row of state_snapshots cannot be updated (${words}${constraint}${error.code}): ${LOOK_AT}.`
  return new AppError('CONFLICT', message, { cause: error })
}
