import { type RawBuilder, sql } from 'kysely'
import type { Database } from '../connect.ts'

/** The mark of a store that this database knows. */
export interface KnownStore {
  readonly id: string
  /** Whether states have come to lie in it: from then on it is this one for good. */
  readonly isUsed: boolean
}

const objectsIn = (scheme: string, states: RawBuilder<unknown>) =>
  sql`statelens_objects where storage_uri >= ${`${scheme}://`} collate "C" and storage_uri < ${`${scheme}:/0`} and state in (${states})`

/** Null before it was marked. */
export async function loadStore(db: Database, scheme: string): Promise<KnownStore | null> {
  const [row] = await db.rows(sql`select id, is_used from statelens_stores where scheme = ${scheme}`)
  return row ? { id: String(row[0]), isUsed: row[1] === true } : null
}

/** The same; it is noted that it is used, as soon as it is. */
export async function lookAtStore(db: Database, scheme: string): Promise<KnownStore | null> {
  const store = await loadStore(db, scheme)
  if (!store || store.isUsed || !(await hasObjectsIn(db, scheme))) return store
  await db.rows(sql`update statelens_stores set is_used = true where scheme = ${scheme}`)
  return await loadStore(db, scheme)
}

/** Notes the mark of a store that has none yet. @returns the mark that it has, which may be another one. */
export async function claimStore(db: Database, scheme: string, id: string): Promise<string> {
  await db.rows(sql`insert into statelens_stores (scheme, id) values (${scheme}, ${id}) on conflict do nothing`)
  return (await loadStore(db, scheme))?.id ?? id
}

/** The same for a store in which nothing lies and nothing is on its way: another one may take its place. */
export async function replaceStore(db: Database, scheme: string, id: string): Promise<string> {
  await db.rows(sql`
    update statelens_stores set id = ${id} where scheme = ${scheme} and not is_used
      and not exists (select from ${objectsIn(scheme, sql`'live', 'pending'`)})`)
  return (await loadStore(db, scheme))?.id ?? id
}

/** Whether this database has objects in the stores of a scheme. */
export async function hasObjectsIn(db: Database, scheme: string): Promise<boolean> {
  const [row] = await db.rows(sql`select exists (select from ${objectsIn(scheme, sql`'live'`)})`)
  return row?.[0] === true
}
