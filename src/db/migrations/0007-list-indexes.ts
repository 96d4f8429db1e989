import { type Kysely, sql } from 'kysely'
import { createIndexAtOnce, LIST_INDEXES } from '../indexes.ts'

/** An index in the order of each list for whatever it lets through. Those of tables that hold rows come later, while others write. */
export async function up(db: Kysely<unknown>): Promise<void> {
  for (const table of ['statelens_runs', 'state_snapshots']) {
    const { rows } = await sql<{ found: boolean }>`select exists (select from ${sql.table(table)}) as found`.execute(db)
    if (rows[0]?.found) continue
    for (const index of LIST_INDEXES) if (index.table === table) await createIndexAtOnce(db, index)
  }
}
