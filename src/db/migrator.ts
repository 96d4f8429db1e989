import { type Kysely, sql } from 'kysely'
import { AppError } from '../errors.ts'
import * as firstTables from './migrations/0001-first-tables.ts'
import * as rowsOfOldWriters from './migrations/0002-rows-of-old-writers.ts'
import * as uploads from './migrations/0003-uploads.ts'
import * as storedBytes from './migrations/0004-stored-bytes.ts'
import * as deletions from './migrations/0005-deletions.ts'
import * as runTags from './migrations/0006-run-tags.ts'
import * as listIndexes from './migrations/0007-list-indexes.ts'
import * as refusedCopies from './migrations/0008-refused-copies.ts'
import * as replicatedRows from './migrations/0009-replicated-rows.ts'
import * as orderOfCommits from './migrations/0010-order-of-commits.ts'
import * as storeMarks from './migrations/0011-store-marks.ts'
import * as captures from './migrations/0012-captures.ts'
import * as stateIndexes from './migrations/0013-state-indexes.ts'
import * as changes from './migrations/0014-changes.ts'
import * as stateKeys from './migrations/0015-state-keys.ts'
import * as retention from './migrations/0016-retention.ts'

interface Migration {
  up(db: Kysely<unknown>): Promise<void>
}

/** In order; a migration that has landed is never edited. */
const MIGRATIONS: readonly (readonly [string, Migration])[] = [
  ['0001-first-tables', firstTables],
  ['0002-rows-of-old-writers', rowsOfOldWriters],
  ['0003-uploads', uploads],
  ['0004-stored-bytes', storedBytes],
  ['0005-deletions', deletions],
  ['0006-run-tags', runTags],
  ['0007-list-indexes', listIndexes],
  ['0008-refused-copies', refusedCopies],
  ['0009-replicated-rows', replicatedRows],
  ['0010-order-of-commits', orderOfCommits],
  ['0011-store-marks', storeMarks],
  ['0012-captures', captures],
  ['0013-state-indexes', stateIndexes],
  ['0014-changes', changes],
  ['0015-state-keys', stateKeys],
  ['0016-retention', retention],
]

/** A statement: what belongs to a table of the old system is made beside it, wherever the search path finds it. */
export function besideTheTable(lasting: 'session' | 'transaction'): string {
  return `select set_config('search_path', quote_ident(nspname) || ', ' || current_setting('search_path'), ${lasting === 'transaction'})
    from pg_class c join pg_namespace n on n.oid = relnamespace
    where c.oid = to_regclass('state_snapshots') and nspname is distinct from current_schema()`
}

/** Names of the migrations that the database lacks. @throws AppError `CONFLICT` when it is that of a newer version. */
export async function missingMigrations(db: Kysely<unknown>): Promise<readonly string[]> {
  const applied = await appliedMigrations(db)
  const newer = applied.filter((name) => !MIGRATIONS.some(([known]) => known === name))
  if (newer.length > 0) {
    throw new AppError(
      'CONFLICT',
      `The database is that of a newer statelens (it has ${newer.join(', ')}): use the version that migrated it, or one after it.`,
    )
  }
  return MIGRATIONS.map(([name]) => name).filter((name) => !applied.includes(name))
}

/** Applies those that are missing, all of them in one transaction, which begins with what comes `before` them. @returns their names. */
export async function applyMigrations(
  db: Kysely<unknown>,
  before?: (tx: Kysely<unknown>) => Promise<void>,
): Promise<readonly string[]> {
  const missing = await missingMigrations(db)
  if (missing.length === 0) return missing
  await db.transaction().execute(async (tx) => {
    await sql.raw(besideTheTable('transaction')).execute(tx)
    await before?.(tx)
    await sql`create table if not exists statelens_migrations (
      name varchar(255) primary key, timestamp varchar(255) not null)`.execute(tx)
    for (const [name, migration] of MIGRATIONS) {
      if (!missing.includes(name)) continue
      await migration.up(tx)
      await sql`insert into statelens_migrations values (${name}, ${new Date().toISOString()})`.execute(tx)
    }
  })
  return missing
}

async function appliedMigrations(db: Kysely<unknown>): Promise<readonly string[]> {
  const table = await sql<{ there: boolean }>`select to_regclass('statelens_migrations') is not null as there`.execute(
    db,
  )
  if (!table.rows[0]?.there) return []
  const { rows } = await sql<{ name: string }>`select name from statelens_migrations order by name`.execute(db)
  return rows.map(({ name }) => name)
}
