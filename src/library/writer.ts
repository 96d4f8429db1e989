import { openPayload, type Source } from '../client/payload.ts'
import { AppError } from '../errors.ts'
import { type Instant, parseInstant } from '../model/instant.ts'
import type { PayloadStream } from '../snapshots/capture/capture-stream.ts'
import { checkDigests } from '../snapshots/capture/checked-digests.ts'
import type { SnapshotWriter } from '../snapshots/capture/writer.ts'
import type { StatelensWriter } from './api.ts'

export function createLibraryWriter(writer: SnapshotWriter): StatelensWriter {
  return {
    async capture(request, payload, { signal } = {}) {
      signal?.throwIfAborted()
      const source = openPayload(payload)
      const { metadata, expiresAt, ...rest } = request
      const input = {
        ...rest,
        metadata: metadata == null ? null : textOf(metadata),
        expiresAt: expiresAt == null ? null : toInstant('expiresAt', expiresAt),
      }
      const { snapshot, created } = await writer.capture(input, await toCapture(source), signal)
      const { snapshotId, seq, sizeBytes, digest, storageUri } = snapshot
      const storageTier = storageUri === null ? 'INLINE' : 'OBJECT'
      return { snapshotId, seq, sizeBytes: sizeBytes ?? 0, digest: digest ?? '', storageTier, created }
    },
    async upsertRun(change) {
      await writer.upsertRun(withInstants(change, ['startedAt', 'endedAt', 'expiresAt']))
    },
    async upsertStep(change) {
      await writer.upsertStep(withInstants(change, ['startedAt', 'endedAt']))
    },
    deleteSnapshot: async (snapshotId) => (await writer.deleteSnapshot(snapshotId)).deleted,
    deleteRun: async (runId) => (await writer.deleteRun(runId)).deleted,
  }
}

/** What is small is at hand, so that it can be begun again. */
const AT_HAND_BYTES = 1_048_576

async function toCapture(source: Source): Promise<Buffer | PayloadStream> {
  if (source.kind === 'stream') {
    const before = source.digest === undefined ? [] : [Buffer.from(source.digest.slice('sha256:'.length), 'hex')]
    const { sizeBytes, encoding } = source
    return { chunks: checkDigests(source.read(), { before }), sizeBytes, encoding }
  }
  const { sizeBytes } = source
  if (sizeBytes > AT_HAND_BYTES) return { chunks: source.read(), sizeBytes }
  const chunks: Uint8Array[] = []
  for await (const chunk of source.read()) chunks.push(chunk)
  return Buffer.concat(chunks, sizeBytes)
}

function textOf(metadata: unknown): string {
  try {
    return JSON.stringify(metadata)
  } catch (cause) {
    throw new AppError('BAD_REQUEST', 'JSON cannot say that metadata', { cause })
  }
}

type Instants<T, Name extends keyof T> = Omit<T, Name> & { readonly [Key in Name]?: Instant | null }

/** Names that are not there stay so: an upsert changes what it names. */
function withInstants<T extends object, Name extends keyof T & string>(
  change: T,
  names: readonly Name[],
): Instants<T, Name> {
  const named = names.filter((name) => change[name] !== undefined)
  const instants = named.map((name) => [name, change[name] === null ? null : toInstant(name, change[name])])
  return { ...change, ...Object.fromEntries(instants) }
}

function toInstant(name: string, value: unknown): Instant {
  if (!(value instanceof Date)) return parseInstant(value)
  if (Number.isNaN(value.getTime())) throw new AppError('BAD_REQUEST', `${name} is no date`)
  return parseInstant(value.toISOString())
}
