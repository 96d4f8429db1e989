import { sql } from 'kysely'
import type { Database, Rows } from '../connect.ts'

/** Of which object a table of keys is. */
export interface StateKeysOwner {
  /** Of the index of the state. */
  readonly key: Buffer
  /** Where the object starts, in bytes. */
  readonly container: number
}

/** One table of keys; another one of the same object has another seed. */
export interface StateKeysName extends StateKeysOwner {
  readonly seed: Buffer
}

export interface StateKeysPart {
  readonly bucket: number
  readonly part: number
  readonly pairs: Buffer
}

/** What stands before all buckets, once all parts are there. */
const HEAD_BUCKET = -1

/** Adds to a table that is being made. @throws what the database rejects with, so where the index is gone. */
export async function addStateKeys(db: Database, name: StateKeysName, parts: readonly StateKeysPart[]): Promise<void> {
  const { key, container, seed } = name
  await sql`
    insert into statelens_state_keys (key, container, seed, bucket, part, pairs)
    select ${key}::bytea, ${container}::bigint, ${seed}::bytea, added.* from unnest(
      ${parts.map(({ bucket }) => bucket)}::smallint[], ${parts.map(({ part }) => part)}::integer[],
      ${parts.map(({ pairs }) => pairs)}::bytea[]) as added (bucket, part, pairs)`.execute(db.kysely)
}

export interface StateKeysEnd {
  readonly head: Buffer
  /** That were added. */
  readonly partCount: number
}

/**
 * From now on it is found, and all others of the same object go, whole or not.
 * @returns false for one that went so itself, since another was finished first: then nothing is done.
 */
export async function finishStateKeys(
  db: Database,
  { key, container, seed }: StateKeysName,
  { head, partCount }: StateKeysEnd,
): Promise<boolean> {
  const isOfThis = sql`key = ${key} and container = ${container}`
  const { rows } = await sql<{ is_whole: boolean }>`
    with whole as (
      insert into statelens_state_keys (key, container, seed, bucket, part, pairs)
      select ${key}::bytea, ${container}::bigint, ${seed}::bytea, ${HEAD_BUCKET}::smallint, 0, ${head}::bytea
      where (select count(*) from statelens_state_keys where ${isOfThis} and seed = ${seed}) = ${partCount}
      returning 1
    ), others as (
      delete from statelens_state_keys where ${isOfThis} and seed <> ${seed} and exists (select from whole)
    )
    select exists (select from whole) as is_whole`.execute(db.kysely)
  return rows[0]?.is_whole === true
}

/** Takes away what was written of one that is not made to its end. */
export async function dropStateKeys(db: Database, { key, container, seed }: StateKeysName): Promise<void> {
  await sql`
    delete from statelens_state_keys
    where key = ${key} and container = ${container} and seed = ${seed}`.execute(db.kysely)
}

/** The heads of tables that were made to their end: one, or for a moment some. */
export async function loadStateKeyHeads(
  db: Rows,
  { key, container }: StateKeysOwner,
): Promise<readonly { readonly seed: Buffer; readonly head: Buffer }[]> {
  const rows = await db.rows(sql`
    select seed, pairs from statelens_state_keys
    where key = ${key} and container = ${container} and bucket = ${HEAD_BUCKET}`)
  return (rows as [Buffer, Buffer][]).map(([seed, head]) => ({ seed, head }))
}

/** All parts of one bucket. */
export async function loadStateKeys(db: Rows, name: StateKeysName, bucket: number): Promise<readonly Buffer[]> {
  const { key, container, seed } = name
  const rows = await db.rows(sql`
    select pairs from statelens_state_keys
    where key = ${key} and container = ${container} and seed = ${seed} and bucket = ${bucket}`)
  return (rows as [Buffer][]).map(([pairs]) => pairs)
}
