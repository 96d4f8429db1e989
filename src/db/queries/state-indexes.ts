import { type RawBuilder, sql } from 'kysely'
import type { Database, Rows } from '../connect.ts'
import { unlessReadOnly } from '../errors.ts'

/** Which payload an index is of. */
export interface StateIndexKey {
  /** SHA-256 of the payload, or of what names one version of it. */
  readonly key: Buffer
  /** Whose object it is, where that is another writer's: the index goes with that snapshot. Null where `key` is of the payload. */
  readonly snapshotId: string | null
}

export interface StateIndex extends StateIndexKey {
  /** Of its form. */
  readonly version: number
  /** Of the payload. */
  readonly sizeBytes: number
  readonly entries: Buffer
}

/** Whether a live object of ours has this content. */
export const hasLiveObject = (digest: RawBuilder<unknown>) =>
  sql`exists (select from statelens_objects o where o.content_digest = ${digest} and o.state = 'live')`

/** In the order asked; null for each that is not there, or has another form. */
export async function loadStateIndexes(
  db: Rows,
  keys: readonly Buffer[],
  version: number,
): Promise<readonly (Pick<StateIndex, 'sizeBytes' | 'entries'> | null)[]> {
  const rows = await db.rows(sql`
    select key, size_bytes, entries from statelens_state_indexes
    where key = any (${keys}::bytea[]) and version = ${version}`)
  const found = new Map(
    (rows as [Buffer, string, Buffer][]).map(([key, sizeBytes, entries]) => [
      key.toString('hex'),
      { sizeBytes: Number(sizeBytes), entries },
    ]),
  )
  return keys.map((key) => found.get(key.toString('hex')) ?? null)
}

/** Whether there is one of this form. */
export async function hasStateIndex(db: Rows, { key }: StateIndexKey, version: number): Promise<boolean> {
  const rows = await db.rows(sql`
    select 1 from statelens_state_indexes where key = ${key} and version = ${version}`)
  return rows.length > 0
}

/** Keeps an index in the place of one that is another, as one of an older form or a damaged one is. */
export async function keepStateIndex(db: Database, index: StateIndex): Promise<void> {
  const { key, snapshotId, version, sizeBytes, entries } = index
  await unlessReadOnly(
    db.kysely
      .insertInto('statelens_state_indexes')
      .values({ key, snapshot_id: snapshotId, version, size_bytes: sizeBytes, entries })
      .onConflict((conflict) =>
        conflict
          .column('key')
          .doUpdateSet({ snapshot_id: snapshotId, version, size_bytes: sizeBytes, entries, created_at: sql`now()` })
          .where(sql<boolean>`(statelens_state_indexes.version, statelens_state_indexes.entries)
            is distinct from (excluded.version, excluded.entries)`),
      )
      .execute(),
  )
}

export interface IndexSweep {
  /** From behind this one on, in the order of keys; null: from the first. */
  readonly after: Buffer | null
  /** Most that are looked at. */
  readonly limit: number
  /** Younger ones stay: their snapshot may be about to be stored. */
  readonly graceSeconds: number
}

/**
 * Looks at some indexes, and takes away those of states that are gone, whoever deleted them.
 * @returns the last one that was looked at; null behind the last of all.
 */
export async function sweepStateIndexes(
  db: Database,
  { after, limit, graceSeconds }: IndexSweep,
): Promise<Buffer | null> {
  const rows = await db.rows(sql`
    with looked as (
      select key, snapshot_id, created_at from statelens_state_indexes
      where key > ${after ?? Buffer.alloc(0)} order by key limit ${limit}
    ), gone as (
      delete from statelens_state_indexes where key in (
        select key from looked i where i.created_at <= now() - make_interval(secs => ${graceSeconds}) and case
          when i.snapshot_id is null then not ${hasLiveObject(sql.ref('i.key'))}
          else not exists (select from state_snapshots s where s.id = i.snapshot_id) end)
    )
    select count(*), (select key from looked order by key desc limit 1) from looked`)
  const [count, last] = rows[0] as [string, Buffer | null]
  return Number(count) < limit ? null : last
}
