import { sql } from 'kysely'
import type { Database } from '../connect.ts'

/** What the store of a scheme is marked with; null before it was marked. */
export async function loadStoreId(db: Database, scheme: string): Promise<string | null> {
  const found = await db.kysely
    .selectFrom('statelens_stores')
    .select('id')
    .where('scheme', '=', scheme)
    .executeTakeFirst()
  return found?.id ?? null
}

/** Notes the mark of a store that has none yet. @returns the mark that it has, which may be another one. */
export async function claimStore(db: Database, scheme: string, id: string): Promise<string> {
  await db.kysely
    .insertInto('statelens_stores')
    .values({ scheme, id })
    .onConflict((conflict) => conflict.doNothing())
    .execute()
  return (await loadStoreId(db, scheme)) ?? id
}

/** Whether this database has objects in the stores of a scheme. */
export async function hasObjectsIn(db: Database, scheme: string): Promise<boolean> {
  const [from, to] = [`${scheme}://`, `${scheme}:/0`]
  const { rows } = await sql<{ there: boolean }>`
    select exists (
      select from statelens_objects where storage_uri >= ${from} collate "C" and storage_uri < ${to} and state = 'live'
    ) as there`.execute(db.kysely)
  return rows[0]?.there === true
}
