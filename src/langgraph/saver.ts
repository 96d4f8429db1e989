import type { RunnableConfig } from '@langchain/core/runnables'
import {
  BaseCheckpointSaver,
  type ChannelVersions,
  type Checkpoint,
  type CheckpointListOptions,
  type CheckpointMetadata,
  type CheckpointTuple,
  maxChannelVersion,
  type PendingWrite,
  type SerializerProtocol,
  TASKS,
} from '@langchain/langgraph-checkpoint'
import { type Client, createClient } from '../client/client.ts'
import {
  type Apart,
  type Dumped,
  NOTHING,
  type Parts,
  readCheckpoint,
  revive,
  smallParts,
  writeCheckpoint,
} from './checkpoint-text.ts'
import { createHistory, type History, type StoredCheckpoint } from './history.ts'
import { checkpointStep } from './names.ts'
import { type ChannelValues, createChannelValues } from './values.ts'
import { readWrites, writeWrites } from './writes.ts'

export interface StatelensSaverOptions {
  /** The server's address, such as `http://127.0.0.1:4000`. */
  readonly url: string
  readonly token?: string | undefined
  /** Stands in for the global one: that of a server in this process, for one. */
  readonly fetch?: typeof globalThis.fetch | undefined
  /** Values of channels from this size on are states of their own, stored once while they stay the same; default 64 KiB. */
  readonly apartMinBytes?: number | undefined
  /** The framework's own when left out. */
  readonly serde?: SerializerProtocol | undefined
}

const APART_MIN_BYTES = 65_536
/** Beside a state there is room for 64 KiB. */
const METADATA_MAX_BYTES = 49_152
/** Checkpoints of before this version have what they sent in the one before. */
const SENDS_WITHIN = 4
/** Of checkpoints whose values need not be written again. */
const RECENT_MAX = 256

/**
 * Keeps the checkpoints of LangGraph.js with a statelens server: a thread is a run, a checkpoint is a step of it with its state, and with
 * what its tasks wrote; large values of channels are states of their own. Methods are those of the framework.
 */
export class StatelensSaver extends BaseCheckpointSaver {
  readonly #client: Client
  readonly #history: History
  readonly #values: ChannelValues
  readonly #apartMinBytes: number
  readonly #recent = new Map<string, Parts>()
  readonly #threads = new Set<string>()

  constructor({ serde, apartMinBytes = APART_MIN_BYTES, ...options }: StatelensSaverOptions) {
    super(serde)
    this.#client = createClient({ ...options, directMinBytes: Number.POSITIVE_INFINITY })
    this.#history = createHistory(this.#client)
    this.#values = createChannelValues(this.#client, this.serde)
    this.#apartMinBytes = apartMinBytes
  }

  override async put(
    config: RunnableConfig,
    checkpoint: Checkpoint,
    metadata: CheckpointMetadata,
    newVersions: ChannelVersions,
  ): Promise<RunnableConfig> {
    const { runId, namespace, checkpointId: parentId } = placeOf(config)
    const before = parentId === undefined ? NOTHING : await this.#partsOf({ runId, namespace, id: parentId })
    const { values, apart } = await this.#dump(checkpoint, { runId, namespace, newVersions, before })
    const told = await this.#textOf(metadata)
    const hasRoom = Buffer.byteLength(told) <= METADATA_MAX_BYTES
    const state = await writeCheckpoint({ checkpoint, values, apart, metadata: hasRoom ? null : told }, this.serde)
    await this.#beginThread(runId)
    await this.#client.capture(
      {
        runId,
        stepId: checkpointStep(namespace, checkpoint.id),
        kind: 'CHECKPOINT',
        metadata: {
          langgraph: { namespace, id: checkpoint.id, parentId: parentId ?? null },
          ...(hasRoom ? { metadata: JSON.parse(told) } : {}),
        },
      },
      { bytes: Buffer.from(state) },
    )
    this.#remember(keyOf(runId, namespace, checkpoint.id), { values, apart, versions: checkpoint.channel_versions })
    return configOf(runId, namespace, checkpoint.id)
  }

  override async putWrites(
    config: RunnableConfig,
    writes: PendingWrite[],
    taskId: string,
    taskPath = '',
  ): Promise<void> {
    const { runId, namespace, checkpointId } = placeOf(config)
    if (checkpointId === undefined) throw new Error('Writes need a checkpoint_id in config.configurable')
    await this.#client.capture(
      {
        runId,
        stepId: checkpointStep(namespace, checkpointId),
        kind: 'OUTPUT',
        metadata: { langgraph: { taskId, taskPath } },
      },
      { bytes: Buffer.from(await writeWrites(writes, this.serde)) },
    )
  }

  override async getTuple(config: RunnableConfig): Promise<CheckpointTuple | undefined> {
    if (config.configurable?.['thread_id'] === undefined) return undefined
    const { runId, namespace, checkpointId } = placeOf(config)
    const id = checkpointId ?? (await this.#history.latestOf(runId, namespace))
    return id === undefined ? undefined : await this.#load({ runId, namespace, id })
  }

  /** Which checkpoints there are is read without their states: only those that are asked for are opened. */
  override async *list(
    config: RunnableConfig,
    { limit, before, filter }: CheckpointListOptions = {},
  ): AsyncGenerator<CheckpointTuple> {
    const { thread_id: threadId, checkpoint_ns: namespace, checkpoint_id: wanted } = config.configurable ?? {}
    const beforeId: string | undefined = before?.configurable?.['checkpoint_id']
    let left = limit ?? Number.POSITIVE_INFINITY
    for await (const found of this.#history.checkpoints(threadId === undefined ? undefined : String(threadId))) {
      if (left <= 0) return
      if (namespace !== undefined && found.namespace !== namespace) continue
      if ((wanted !== undefined && found.id !== wanted) || (beforeId !== undefined && found.id >= beforeId)) continue
      const hidden = filter && found.metadata === undefined ? await this.#load(found) : undefined
      const metadata = hidden ? hidden.metadata : await this.#metadataOf(found.metadata)
      if (filter && !matches(metadata, filter)) continue
      const tuple = hidden ?? (await this.#load(found))
      if (!tuple) continue
      left--
      yield tuple
    }
  }

  override async deleteThread(threadId: string): Promise<void> {
    this.#threads.delete(threadId)
    this.#values.forget(threadId)
    await this.#client.query('mutation ($runId: String!) { deleteRun(runId: $runId) { deleted } }', {
      runId: String(threadId),
    })
  }

  /** Of a channel that is not new the value is what the checkpoint before has for the same version of it: it is not written again. */
  async #dump(checkpoint: Checkpoint, { runId, namespace, newVersions, before }: DumpOptions) {
    const values = new Map<string, Dumped>()
    const apart: Record<string, Apart[string]> = {}
    for (const [channel, value] of Object.entries(checkpoint.channel_values)) {
      const version = checkpoint.channel_versions[channel] ?? null
      if (!(channel in newVersions) && before) {
        const isSame = (before.versions[channel] ?? null) === version
        const [small, large] = [before.values.get(channel), before.apart[channel]]
        if (isSame && small) values.set(channel, small)
        if (isSame && large) apart[channel] = large
        continue
      }
      const [type, bytes] = await this.serde.dumpsTyped(value)
      if (bytes.length < this.#apartMinBytes) values.set(channel, { type, bytes })
      else apart[channel] = await this.#values.store({ runId, namespace, channel }, { type, bytes }, version)
    }
    return { values, apart }
  }

  /** Undefined where it is not there: all of the next one is written then. */
  async #partsOf({ runId, namespace, id }: CheckpointPlace): Promise<Parts | undefined> {
    const known = this.#recent.get(keyOf(runId, namespace, id))
    if (known) return known
    const stored = await this.#history.load(runId, checkpointStep(namespace, id))
    return stored && smallParts(stored.state)
  }

  async #load({ runId, namespace, id }: CheckpointPlace): Promise<CheckpointTuple | undefined> {
    const stored = await this.#history.load(runId, checkpointStep(namespace, id))
    if (!stored) return undefined
    const { parentId } = stored
    const { checkpoint, apart, metadata } = await readCheckpoint(stored.state, this.serde)
    Object.assign(checkpoint.channel_values, await this.#values.load(apart))
    this.#remember(keyOf(runId, namespace, id), smallParts(stored.state))
    if (checkpoint.v < SENDS_WITHIN && parentId !== null)
      await this.#addSends(checkpoint, { runId, namespace, id: parentId })
    return {
      config: configOf(runId, namespace, id),
      checkpoint,
      metadata: (await this.#metadataOf(stored.metadata ?? metadata)) as CheckpointMetadata,
      pendingWrites: await readWrites(stored.tasks, this.serde),
      ...(parentId === null ? {} : { parentConfig: configOf(runId, namespace, parentId) }),
    }
  }

  async #addSends(checkpoint: Checkpoint, { runId, namespace, id }: CheckpointPlace): Promise<void> {
    const parent = await this.#history.load(runId, checkpointStep(namespace, id))
    const writes = parent ? await readWrites(parent.tasks, this.serde) : []
    const versions = Object.values(checkpoint.channel_versions)
    checkpoint.channel_values[TASKS] = writes.filter(([, channel]) => channel === TASKS).map(([, , value]) => value)
    checkpoint.channel_versions[TASKS] =
      versions.length > 0 ? maxChannelVersion(...versions) : this.getNextVersion(undefined)
  }

  async #textOf(value: unknown): Promise<string> {
    const [, bytes] = await this.serde.dumpsTyped(value)
    return Buffer.from(bytes).toString()
  }

  async #metadataOf(told: unknown): Promise<unknown> {
    return told === undefined ? undefined : await revive(told, this.serde)
  }

  /** A run shows what it is, and is found among others. */
  async #beginThread(runId: string): Promise<void> {
    if (this.#threads.has(runId)) return
    const tags = [{ key: 'langgraph', value: 'thread' }]
    await this.#client.upsertRun({ runId, workflowName: 'langgraph', tags })
    this.#threads.add(runId)
  }

  #remember(key: string, parts: Parts): void {
    this.#recent.set(key, parts)
    const [oldest] = this.#recent.keys()
    if (this.#recent.size > RECENT_MAX && oldest !== undefined) this.#recent.delete(oldest)
  }
}

interface DumpOptions {
  readonly runId: string
  readonly namespace: string
  readonly newVersions: ChannelVersions
  /** Of the checkpoint before; undefined where it is not there. */
  readonly before: Parts | undefined
}

type CheckpointPlace = Pick<StoredCheckpoint, 'runId' | 'namespace' | 'id'>

function placeOf({ configurable = {} }: RunnableConfig) {
  const { thread_id: threadId, checkpoint_ns: namespace = '', checkpoint_id: checkpointId } = configurable
  if (threadId === undefined) throw new Error('A thread_id is missing in config.configurable')
  return {
    runId: String(threadId),
    namespace: String(namespace),
    checkpointId: checkpointId === undefined ? undefined : String(checkpointId),
  }
}

function configOf(threadId: string, namespace: string, checkpointId: string): RunnableConfig {
  return { configurable: { thread_id: threadId, checkpoint_ns: namespace, checkpoint_id: checkpointId } }
}

function keyOf(runId: string, namespace: string, checkpointId: string): string {
  return JSON.stringify([runId, namespace, checkpointId])
}

function matches(metadata: unknown, filter: Readonly<Record<string, unknown>>): boolean {
  const told = (metadata ?? {}) as Readonly<Record<string, unknown>>
  return Object.entries(filter).every(([key, value]) => JSON.stringify(told[key]) === JSON.stringify(value))
}
