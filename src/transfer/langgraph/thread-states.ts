import type { CheckpointRow, LanggraphTables, ValueRow, WriteRow } from '../../db/foreign/langgraph-tables.ts'
import { createJsonLocator } from '../../json/locator.ts'
import { channelStep, checkpointStep } from '../../langgraph/names.ts'
import type { Instant } from '../../model/instant.ts'
import { mayBeCoded } from '../coded-stream.ts'
import { type TakeOptions, takeState } from '../take-state.ts'
import { isJsonType, typedJson } from './typed-json.ts'

/** Larger values are states of their own, stored once however many checkpoints have them. */
const APART_BYTES = 65_536
const WRITE_AT_HAND_BYTES = 16_384
/** Beside a state there is room for 64 KiB. */
const METADATA_MAX_BYTES = 49_152
/** Of values that need not be looked up again. */
const KNOWN_MAX = 1000

/** Where a value lies that is a state of its own. */
interface Apart {
  readonly snapshotId: string
  readonly type: string
  readonly version: string
}

export interface ThreadStates {
  /** A checkpoint, what its channels had, and what tasks wrote behind it. */
  take(row: CheckpointRow, createdAt: Instant | null): Promise<void>
}

export function createThreadStates(threadId: string, tables: LanggraphTables, options: TakeOptions): ThreadStates {
  const known = new Map<string, Apart>()

  async function storeApart(row: ValueRow, namespace: string, createdAt: Instant | null): Promise<Apart | null> {
    const { channel, type, version } = row
    const key = JSON.stringify([namespace, channel, version])
    const before = known.get(key)
    if (before) return before
    const input = {
      runId: threadId,
      stepId: channelStep(namespace, channel),
      kind: 'OUTPUT',
      idempotencyKey: `import ${version}`,
    } as const
    const open = () => typedJson(row, (part) => tables.valuePart(threadId, namespace, row, part))
    const name = `channel ${JSON.stringify(channel)}`
    const coding = mayBeCoded(row.sizeBytes, null) ? ({ encoding: 'zstd' } as const) : {}
    const snapshot = await takeState({ input, createdAt, open, name, ...coding }, options)
    if (!snapshot) return null
    const made = { snapshotId: snapshot.snapshotId, type, version }
    known.set(key, made)
    const [oldest] = known.keys()
    if (known.size > KNOWN_MAX && oldest !== undefined) known.delete(oldest)
    return made
  }

  async function takeCheckpoint(row: CheckpointRow, createdAt: Instant | null): Promise<void> {
    const { namespace, id, parentId, metadata } = row
    const members = membersOf(row.values)
    const apart: Record<string, Apart> = {}
    const coded: Record<string, string> = {}
    for (const value of await tables.valuesOf(threadId, row, APART_BYTES)) {
      const { channel, type } = value
      if (type === 'empty') continue
      if (value.bytes === null) {
        const stored = await storeApart(value, namespace, createdAt)
        if (stored) apart[channel] = stored
        continue
      }
      if (!isJsonType(type)) coded[channel] = type
      const text = Buffer.concat(await Array.fromAsync(typedJson(value, async () => Buffer.alloc(0))))
      members.set(channel, text.toString())
    }
    const hasRoom = Buffer.byteLength(metadata) <= METADATA_MAX_BYTES
    const told = JSON.stringify({ langgraph: { namespace, id, parentId } })
    const state = stateText(row, { members, apart, coded, metadata: hasRoom ? null : metadata })
    const input = {
      runId: threadId,
      stepId: checkpointStep(namespace, id),
      kind: 'CHECKPOINT',
      idempotencyKey: 'import checkpoint',
      metadata: hasRoom ? `${told.slice(0, -1)},"metadata":${metadata}}` : told,
    } as const
    const open = () => chunkOf(state)
    await takeState({ input, createdAt, sizeBytes: state.length, open, name: `checkpoint ${id}` }, options)
  }

  async function takeWrites(row: CheckpointRow, createdAt: Instant | null): Promise<void> {
    const writes = Map.groupBy(await tables.writesOf(threadId, row, WRITE_AT_HAND_BYTES), ({ taskId }) => taskId)
    for (const [taskId, ofTask] of writes) {
      const langgraph = { taskId, taskPath: ofTask[0]?.taskPath ?? '' }
      const input = {
        runId: threadId,
        stepId: checkpointStep(row.namespace, row.id),
        kind: 'OUTPUT',
        idempotencyKey: `import ${taskId}`,
        metadata: JSON.stringify({ langgraph }),
      } as const
      const open = () => writesText(ofTask, (write, part) => tables.writePart(threadId, row, write, part))
      await takeState({ input, createdAt, open, name: `writes of ${taskId}` }, options)
    }
  }

  return {
    async take(row, createdAt) {
      await takeCheckpoint(row, createdAt)
      await takeWrites(row, createdAt)
    },
  }
}

/** Texts of the members of an object, as they stand there. */
function membersOf(text: string): Map<string, string> {
  const locate = createJsonLocator(text)
  return new Map(Object.keys(JSON.parse(text)).map((name) => [name, locate([name]) ?? 'null']))
}

interface StateParts {
  readonly members: ReadonlyMap<string, string>
  readonly apart: Readonly<Record<string, Apart>>
  readonly coded: Readonly<Record<string, string>>
  /** Where there is no room for it beside the state. */
  readonly metadata: string | null
}

/** The state of a checkpoint as `StatelensSaver` writes it: a graph can go on from there. */
function stateText({ checkpoint }: CheckpointRow, { members, apart, coded, metadata }: StateParts): Buffer {
  const values = [...members].map(([channel, text]) => `${JSON.stringify(channel)}:${text}`).join(',')
  const own = `"channel_values":{${values}},"stored_apart":${JSON.stringify(apart)},"coded":${JSON.stringify(coded)}`
  const rest = checkpoint.slice(0, -1)
  const more = metadata === null ? '' : `,"metadata":${metadata}`
  return Buffer.from(`${rest}${rest === '{' ? '' : ','}${own}${more}}`)
}

type ReadPart = (row: WriteRow, part: { readonly offset: number; readonly sizeBytes: number }) => Promise<Buffer>

async function* writesText(writes: readonly WriteRow[], readPart: ReadPart): AsyncGenerator<Buffer> {
  let before = '['
  for (const write of writes) {
    const { index, channel, type } = write
    const told = JSON.stringify({ index, channel, type: type === 'null' ? 'json' : type })
    yield Buffer.from(`${before}${told.slice(0, -1)},"value":`)
    yield* typedJson(write, (part) => readPart(write, part))
    before = '},'
  }
  yield Buffer.from('}]')
}

async function* chunkOf(bytes: Buffer): AsyncGenerator<Buffer> {
  yield bytes
}
