import { createHash, randomUUID } from 'node:crypto'
import { buffer } from 'node:stream/consumers'
import { promisify } from 'node:util'
import { zstdCompress } from 'node:zlib'
import type { SerializerProtocol } from '@langchain/langgraph-checkpoint'
import type { Client } from '../client/client.ts'
import type { Apart, Dumped, StoredValue } from './checkpoint-text.ts'
import { channelStep } from './names.ts'

/** A channel of a thread. */
export interface ChannelPlace {
  readonly runId: string
  readonly namespace: string
  readonly channel: string
}

/** Values of channels that are too large to be repeated in every checkpoint: each is a state of its own, in a step of its channel. */
export interface ChannelValues {
  /** Stores it, unless the same was stored before by this process. */
  store(place: ChannelPlace, dumped: Dumped, version: StoredValue['version']): Promise<StoredValue>
  load(apart: Apart): Promise<Record<string, unknown>>
  /** What was stored for it is there no longer. */
  forget(runId: string): void
}

const compress = promisify(zstdCompress)
/** Of texts that were read before. */
const KEPT_MAX_BYTES = 67_108_864
/** Of each channel, so many values are known again. */
const KNOWN_MAX = 32

export function createChannelValues(client: Client, serde: SerializerProtocol): ChannelValues {
  const known = new Map<string, Map<string, string>>()
  const kept = createKept()

  async function bytesOf(snapshotId: string): Promise<Buffer> {
    const before = kept.get(snapshotId)
    if (before) return before
    const bytes = await buffer(await client.read(snapshotId))
    kept.set(snapshotId, bytes)
    return bytes
  }

  return {
    async store({ runId, namespace, channel }, { type, bytes }, version) {
      const place = JSON.stringify([runId, namespace, channel])
      const digest = createHash('sha256').update(bytes).digest('base64')
      const ofChannel = known.get(place) ?? new Map<string, string>()
      known.set(place, ofChannel)
      const snapshotId = ofChannel.get(digest) ?? randomUUID()
      if (!ofChannel.has(digest)) {
        const json =
          type === 'json' ? Buffer.from(bytes) : Buffer.from(JSON.stringify(Buffer.from(bytes).toString('base64')))
        const coded = await compress(json)
        await client.capture(
          { runId, stepId: channelStep(namespace, channel), kind: 'OUTPUT', snapshotId },
          { stream: () => chunksOf(coded), sizeBytes: coded.length, encoding: 'zstd' },
        )
        ofChannel.set(digest, snapshotId)
        const [oldest] = ofChannel.keys()
        if (ofChannel.size > KNOWN_MAX && oldest !== undefined) ofChannel.delete(oldest)
        kept.set(snapshotId, json)
      }
      return { snapshotId, type, version }
    },
    async load(apart) {
      const loaded = Object.entries(apart).map(async ([channel, { snapshotId, type }]) => {
        const bytes = await bytesOf(snapshotId)
        const value = type === 'json' ? bytes : Buffer.from(JSON.parse(bytes.toString()), 'base64')
        return [channel, await serde.loadsTyped(type, value)] as const
      })
      return Object.fromEntries(await Promise.all(loaded))
    },
    forget(runId) {
      for (const place of known.keys()) if (JSON.parse(place)[0] === runId) known.delete(place)
    },
  }
}

async function* chunksOf(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes
}

function createKept() {
  const kept = new Map<string, Buffer>()
  let size = 0
  return {
    get(snapshotId: string): Buffer | undefined {
      const bytes = kept.get(snapshotId)
      if (!bytes) return undefined
      // The one that was not asked for longest comes first.
      kept.delete(snapshotId)
      kept.set(snapshotId, bytes)
      return bytes
    },
    set(snapshotId: string, bytes: Buffer): void {
      if (bytes.length > KEPT_MAX_BYTES / 2 || kept.has(snapshotId)) return
      kept.set(snapshotId, bytes)
      size += bytes.length
      for (const [oldest, { length }] of kept) {
        if (size <= KEPT_MAX_BYTES) break
        kept.delete(oldest)
        size -= length
      }
    },
  }
}
