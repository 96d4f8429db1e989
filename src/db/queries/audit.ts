import { sql } from 'kysely'
import type { Instant } from '../../model/instant.ts'
import type { Rows } from '../connect.ts'
import { SNAPSHOTS } from './sources.ts'

/** The database's own time. */
export async function loadNow(db: Rows): Promise<Instant> {
  const [row] = await db.rows(sql`select now()`)
  return String(row?.[0])
}

/** Where objects of ours lie, as far as the ledger knows: `file:///`, `s3://bucket/`. */
export async function loadObjectRoots(db: Rows): Promise<readonly string[]> {
  const roots: string[] = []
  for (let after = ''; ; ) {
    const [row] = await db.rows(sql`
      select storage_uri from statelens_objects where storage_uri collate "C" > ${after} order by storage_uri collate "C" limit 1`)
    const [root] = /^[a-z]+:\/\/[^/]*\//.exec(String(row?.[0] ?? '')) ?? []
    if (root === undefined) return roots
    roots.push(root)
    // Behind all that begins with it.
    after = `${root}\u{10ffff}`
  }
}

/** Of these URIs those that nobody knows: neither the ledger nor the row of the snapshot that the key names. */
export async function findUnknown(
  db: Rows,
  objects: readonly { readonly storageUri: string; readonly snapshotId: string }[],
): Promise<ReadonlySet<string>> {
  const rows = await db.rows(sql`
    select a.uri from unnest(${objects.map(({ storageUri }) => storageUri)}::text[], ${objects.map(({ snapshotId }) => snapshotId)}::uuid[]) as a(uri, id)
    where not exists (select from statelens_objects o where o.storage_uri = a.uri)
      and not exists (select from state_snapshots s where s.id = a.id and s.storage_uri = a.uri)`)
  return new Set(rows.map(([uri]) => String(uri)))
}

/** Gives objects that nobody knows to the sweepers. One that somebody knows by now is left. @returns how many. */
export async function doomUnknown(
  db: Rows,
  objects: readonly { readonly storageUri: string; readonly snapshotId: string }[],
): Promise<number> {
  const rows = await db.rows(sql`
    insert into statelens_objects (storage_uri, snapshot_id, state)
    select a.uri, a.id, 'doomed' from unnest(${objects.map(({ storageUri }) => storageUri)}::text[],
      ${objects.map(({ snapshotId }) => snapshotId)}::uuid[]) as a(uri, id)
    where not exists (select from state_snapshots s where s.id = a.id and s.storage_uri = a.uri)
    on conflict do nothing returning 1`)
  return rows.length
}

/** An object that should be there. */
export interface LiveObject {
  readonly storageUri: string
  readonly snapshotId: string
  /** Of the bytes as they lie; null where they were written before that was noted. */
  readonly storedSizeBytes: number | null
  readonly chunkSizeBytes: number | null
  readonly chunkDigests: Buffer | null
  /** Whether a state names it. */
  readonly isNamed: boolean
}

/** The next ones, in the order of their URIs. */
export async function loadLiveObjects(db: Rows, after: string, limit: number): Promise<readonly LiveObject[]> {
  const rows = await db.rows(sql`
    select o.storage_uri, o.snapshot_id, o.stored_size_bytes::float8, o.chunk_size_bytes::float8, o.chunk_digests,
      exists (select from state_snapshots s where s.id = o.snapshot_id and s.storage_uri = o.storage_uri)
    from statelens_objects o where o.storage_uri > ${after} and o.state = 'live' order by o.storage_uri limit ${limit}`)
  return rows.map(([storageUri, snapshotId, storedSizeBytes, chunkSizeBytes, chunkDigests, isNamed]) => ({
    storageUri: String(storageUri),
    snapshotId: String(snapshotId),
    storedSizeBytes: storedSizeBytes as number | null,
    chunkSizeBytes: chunkSizeBytes as number | null,
    chunkDigests: chunkDigests as Buffer | null,
    isNamed: isNamed === true,
  }))
}

/** Whether an object is still what it was when it was loaded: live, and for a state that is in sight. */
export async function isStillLive(db: Rows, { storageUri }: Pick<LiveObject, 'storageUri'>): Promise<boolean> {
  const [row] = await db.rows(sql`
    select exists (select from statelens_objects o where o.storage_uri = ${storageUri} and o.state = 'live')`)
  return row?.[0] === true
}

export interface UncoveredPage {
  /** States of ours whose object the ledger does not have as live: a sweeper might take it, or nobody ever. */
  readonly uncovered: readonly { readonly snapshotId: string; readonly storageUri: string }[]
  /** How many were looked through. */
  readonly seen: number
  /** Null behind the last one. */
  readonly next: string | null
}

/** Looks through the next states, in the order of their numbers. */
export async function loadUncovered(db: Rows, afterSeq: string, limit: number): Promise<UncoveredPage> {
  const rows = await db.rows(sql`
    with page as materialized (
      select s.seq, s.id, s.storage_uri, s.request_digest from ${SNAPSHOTS} and s.seq > ${afterSeq}::bigint order by s.seq limit ${limit}
    )
    select p.id, p.storage_uri, last.seq, last.count from (select max(seq) as seq, count(*)::float8 as count from page) last
    left join page p on p.storage_uri is not null and p.request_digest is not null
      and not exists (select from statelens_objects o where o.storage_uri = p.storage_uri and o.state = 'live')`)
  const [, , seq, count] = rows[0] ?? []
  return {
    uncovered: rows.flatMap(([id, uri]) => (id == null ? [] : [{ snapshotId: String(id), storageUri: String(uri) }])),
    seen: Number(count),
    next: Number(count) < limit ? null : String(seq),
  }
}
