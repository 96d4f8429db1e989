import type { Checkpoint, SerializerProtocol } from '@langchain/langgraph-checkpoint'

/** Values of channels that are states of their own, by the channel: where each lies. */
export type Apart = Readonly<Record<string, StoredValue>>

export interface StoredValue {
  readonly snapshotId: string
  /** As the serializer called it. */
  readonly type: string
  readonly version: number | string | null
}

/** A value as the serializer writes it. */
export interface Dumped {
  readonly type: string
  readonly bytes: Uint8Array
}

/** What is captured as the state of a checkpoint. */
interface CheckpointState {
  /** Small ones: what is JSON as it is, and of others the type and base64. */
  readonly channel_values: Readonly<Record<string, unknown>>
  readonly stored_apart: Apart
  /** Types of those values that are no JSON. */
  readonly coded: Readonly<Record<string, string>>
  readonly metadata?: unknown
  readonly [field: string]: unknown
}

/** What a checkpoint has of its channels, as it is stored. */
export interface Parts {
  /** The small values. */
  readonly values: ReadonlyMap<string, Dumped>
  readonly apart: Apart
  readonly versions: Readonly<Record<string, number | string>>
}

export const NOTHING: Parts = { values: new Map(), apart: {}, versions: {} }

export function smallParts(state: unknown): Parts {
  const { channel_values, stored_apart: apart, coded, channel_versions } = state as CheckpointState
  const values = Object.entries(channel_values).map(([channel, value]) => {
    const type = coded[channel]
    const bytes = type === undefined ? Buffer.from(JSON.stringify(value)) : Buffer.from(String(value), 'base64')
    return [channel, { type: type ?? 'json', bytes }] as const
  })
  return { values: new Map(values), apart, versions: (channel_versions ?? {}) as Parts['versions'] }
}

export interface CheckpointParts {
  readonly checkpoint: Checkpoint
  /** Of the small values. */
  readonly values: ReadonlyMap<string, Dumped>
  readonly apart: Apart
  /** Where there is no room for it beside the state. */
  readonly metadata: string | null
}

/** A readable state: whoever opens it sees the values of the channels, and what led here. */
export async function writeCheckpoint(
  { checkpoint, values, apart, metadata }: CheckpointParts,
  serde: SerializerProtocol,
): Promise<string> {
  const { channel_values: _values, ...rest } = checkpoint
  const coded: Record<string, string> = {}
  const members = [...values].map(([channel, { type, bytes }]) => {
    if (type !== 'json') coded[channel] = type
    const text = type === 'json' ? Buffer.from(bytes).toString() : JSON.stringify(Buffer.from(bytes).toString('base64'))
    return `${JSON.stringify(channel)}:${text}`
  })
  const [, restBytes] = await serde.dumpsTyped(rest)
  const own = `"channel_values":{${members.join(',')}},"stored_apart":${JSON.stringify(apart)},"coded":${JSON.stringify(coded)}`
  const more = metadata === null ? '' : `,"metadata":${metadata}`
  return `${Buffer.from(restBytes).toString().slice(0, -1)},${own}${more}}`
}

export interface ReadCheckpoint {
  /** Without the values that are stored apart. */
  readonly checkpoint: Checkpoint
  readonly apart: Apart
  readonly metadata: unknown
}

export async function readCheckpoint(state: unknown, serde: SerializerProtocol): Promise<ReadCheckpoint> {
  const { channel_values, stored_apart: apart, coded, metadata, ...rest } = state as CheckpointState
  const checkpoint = (await revive(rest, serde)) as Checkpoint
  const values: Record<string, unknown> = {}
  for (const [channel, value] of Object.entries(channel_values)) {
    const type = coded[channel]
    values[channel] =
      type === undefined
        ? await revive(value, serde)
        : await serde.loadsTyped(type, Buffer.from(String(value), 'base64'))
  }
  return { checkpoint: { ...checkpoint, channel_values: values }, apart, metadata }
}

/** What was JSON comes back as what it stood for, such as a message of its class. */
export async function revive(value: unknown, serde: SerializerProtocol): Promise<unknown> {
  return await serde.loadsTyped('json', JSON.stringify(value))
}
