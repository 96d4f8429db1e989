import { sql } from 'kysely'
import type { Rows } from '../connect.ts'

/*
 * The tables in which the PostgreSQL savers of LangGraph keep threads, those of JavaScript and of Python: read, and never written.
 */

/** Reads are small and end, so that no transaction of theirs stays open. */
export interface LanggraphTables {
  /** Whether they are there. */
  areThere(): Promise<boolean>
  /** The first thread behind another one; null where there is none. */
  nextThread(after: string | null): Promise<string | null>
  /** In the order in which they were made. */
  pageCheckpoints(threadId: string, after: CheckpointKey | null): Promise<readonly CheckpointRow[]>
  /** Of what the row of a checkpoint does not hold itself. */
  valuesOf(threadId: string, key: CheckpointKey, atHandBytes: number): Promise<readonly ValueRow[]>
  writesOf(threadId: string, key: CheckpointKey, atHandBytes: number): Promise<readonly WriteRow[]>
  /** A part of a value. */
  valuePart(threadId: string, namespace: string, row: ValueRow, part: Part): Promise<Buffer>
  writePart(threadId: string, key: CheckpointKey, row: WriteRow, part: Part): Promise<Buffer>
}

export interface CheckpointKey {
  readonly namespace: string
  readonly id: string
}

export interface CheckpointRow extends CheckpointKey {
  readonly parentId: string | null
  /** Without its values: JSON text, as is all that follows. */
  readonly checkpoint: string
  /** Those that it holds itself, by the channel. */
  readonly values: string
  readonly metadata: string
  /** When it was made, as its writer spells it. */
  readonly at: string | null
}

/** Bytes of some type. */
export interface TypedBytes {
  readonly channel: string
  readonly type: string
  readonly sizeBytes: number
  /** All of it where it is small; null where it is read in parts. */
  readonly bytes: Buffer | null
}

export interface ValueRow extends TypedBytes {
  readonly version: string
}

export interface WriteRow extends TypedBytes {
  readonly taskId: string
  readonly taskPath: string
  readonly index: number
}

export interface Part {
  readonly offset: number
  readonly sizeBytes: number
}

const PAGE_SIZE = 20

export function createLanggraphTables(db: Rows, schema: string): LanggraphTables {
  const checkpoints = sql.id(schema, 'checkpoints')
  const blobs = sql.id(schema, 'checkpoint_blobs')
  const writes = sql.id(schema, 'checkpoint_writes')
  let hasTaskPath: Promise<boolean> | undefined

  /** Of Python's table, since its later versions. */
  async function lookForTaskPath(): Promise<boolean> {
    const rows = await db.rows(sql`
      select 1 from information_schema.columns
      where table_schema = ${schema} and table_name = 'checkpoint_writes' and column_name = 'task_path'`)
    return rows.length > 0
  }

  return {
    async areThere() {
      const [row] = await db.rows(sql`
        select count(*)::int from information_schema.tables where table_schema = ${schema}
          and table_name in ('checkpoints', 'checkpoint_blobs', 'checkpoint_writes')`)
      return Number(row?.[0]) === 3
    },
    async nextThread(after) {
      const [row] = await db.rows(sql`
        select thread_id from ${checkpoints} where ${after === null ? sql`true` : sql`thread_id > ${after}`}
        order by thread_id limit 1`)
      return row ? String(row[0]) : null
    },
    async pageCheckpoints(threadId, after) {
      const behind =
        after === null ? sql`true` : sql`(checkpoint_id, checkpoint_ns) > (${after.id}, ${after.namespace})`
      const rows = await db.rows(sql`
        with page as (
          select thread_id, checkpoint_id, checkpoint_ns from ${checkpoints}
          where thread_id = ${threadId} and ${behind} order by checkpoint_id, checkpoint_ns limit ${PAGE_SIZE}
        )
        select c.checkpoint_ns, c.checkpoint_id, c.parent_checkpoint_id, (c.checkpoint - 'channel_values')::text,
          coalesce(c.checkpoint -> 'channel_values', '{}')::text, c.metadata::text, c.checkpoint ->> 'ts'
        from page join ${checkpoints} c using (thread_id, checkpoint_id, checkpoint_ns)
        order by c.checkpoint_id, c.checkpoint_ns`)
      return rows.map(([namespace, id, parentId, checkpoint, values, metadata, at]) => ({
        namespace: String(namespace),
        id: String(id),
        parentId: textOrNull(parentId),
        checkpoint: String(checkpoint),
        values: String(values),
        metadata: String(metadata),
        at: textOrNull(at),
      }))
    },
    async valuesOf(threadId, { namespace, id }, atHandBytes) {
      const rows = await db.rows(sql`
        select b.channel, b.type, coalesce(octet_length(b.blob), 0),
          case when octet_length(b.blob) <= ${atHandBytes} then b.blob end, b.version
        from ${checkpoints} c, jsonb_each_text(c.checkpoint -> 'channel_versions') v(channel, version), ${blobs} b
        where c.thread_id = ${threadId} and c.checkpoint_ns = ${namespace} and c.checkpoint_id = ${id}
          and b.thread_id = c.thread_id and b.checkpoint_ns = c.checkpoint_ns
          and b.channel = v.channel and b.version = v.version
        order by b.channel`)
      return rows.map((row) => ({ ...typed(row), version: String(row[4]) }))
    },
    async writesOf(threadId, { namespace, id }, atHandBytes) {
      hasTaskPath ??= lookForTaskPath()
      const path = (await hasTaskPath) ? sql`w.task_path` : sql`''::text`
      const rows = await db.rows(sql`
        select w.channel, coalesce(w.type, 'null'), coalesce(octet_length(w.blob), 0),
          case when octet_length(w.blob) <= ${atHandBytes} then w.blob end, w.task_id, ${path}, w.idx
        from ${writes} w
        where w.thread_id = ${threadId} and w.checkpoint_ns = ${namespace} and w.checkpoint_id = ${id}
        order by w.task_id, w.idx`)
      return rows.map((row) => ({
        ...typed(row),
        taskId: String(row[4]),
        taskPath: String(row[5]),
        index: Number(row[6]),
      }))
    },
    async valuePart(threadId, namespace, { channel, version }, { offset, sizeBytes }) {
      const [row] = await db.rows(sql`
        select substring(blob from ${offset + 1}::int for ${sizeBytes}::int) from ${blobs}
        where thread_id = ${threadId} and checkpoint_ns = ${namespace} and channel = ${channel} and version = ${version}`)
      return bytesOf(row?.[0])
    },
    async writePart(threadId, { namespace, id }, { taskId, index }, { offset, sizeBytes }) {
      const [row] = await db.rows(sql`
        select substring(blob from ${offset + 1}::int for ${sizeBytes}::int) from ${writes}
        where thread_id = ${threadId} and checkpoint_ns = ${namespace} and checkpoint_id = ${id}
          and task_id = ${taskId} and idx = ${index}`)
      return bytesOf(row?.[0])
    },
  }
}

function typed([channel, type, sizeBytes, bytes]: readonly unknown[]): TypedBytes {
  return {
    channel: String(channel),
    type: String(type),
    sizeBytes: Number(sizeBytes),
    bytes: Number(sizeBytes) === 0 ? Buffer.alloc(0) : Buffer.isBuffer(bytes) ? bytes : null,
  }
}

function textOrNull(value: unknown): string | null {
  return value === null || value === undefined ? null : String(value)
}

function bytesOf(value: unknown): Buffer {
  return Buffer.isBuffer(value) ? value : Buffer.alloc(0)
}
