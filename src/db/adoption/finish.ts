import { type Kysely, sql } from 'kysely'
import type { SnapshotTable } from './inspect.ts'
import { run, runBriefly, runPatiently, type Waiting } from './session.ts'

const REQUIRED = ['id', 'seq', 'created_at']

/**
 * Columns that must never be null, and are not yet declared so, or still have the constraint on the way there; those that the table
 * is about to get are among them.
 */
export async function missingConstraints(
  db: Kysely<unknown>,
  { columns }: Pick<SnapshotTable, 'columns'>,
): Promise<readonly string[]> {
  const { rows } = await sql<{ name: string }>`
    select attname as name from pg_attribute
    where attrelid = to_regclass('state_snapshots') and attname = any(${REQUIRED}::text[]) and (not attnotnull or exists (
      select from pg_constraint where conrelid = attrelid and conname = 'statelens_' || attname || '_required'))
    order by attname`.execute(db)
  const unfinished = rows.map(({ name }) => name)
  // A new created_at comes with a default for every row.
  return REQUIRED.filter((name) => unfinished.includes(name) || (name !== 'created_at' && !columns.includes(name)))
}

/** Reads the table once for each column, while others write; the locks at both ends are brief. */
export async function requireColumn(db: Kysely<unknown>, column: string, waiting?: Waiting): Promise<void> {
  const name = `statelens_${column}_required`
  const table = 'alter table state_snapshots'
  await runBriefly(db, `${table} drop constraint if exists ${name}`, waiting)
  await runBriefly(db, `${table} add constraint ${name} check (${column} is not null) not valid`, waiting)
  await runPatiently(db, `${table} validate constraint ${name}`)
  // PostgreSQL trusts the constraint, and reads nothing here: in one statement with the second it would drop it first.
  await runBriefly(db, `${table} alter column ${column} set not null`, waiting)
  await runBriefly(db, `${table} drop constraint ${name}`, waiting)
}

/**
 * Frees the space of the rows as they were. Slowly, for it writes every page once more, and writers wait for the same disk;
 * whoever reads the table first would do it otherwise, all at once.
 */
export async function vacuum(db: Kysely<unknown>): Promise<void> {
  await run(db, 'set vacuum_cost_delay = 10')
  await run(db, 'set vacuum_cost_limit = 1000')
  await runPatiently(db, 'vacuum state_snapshots')
}
