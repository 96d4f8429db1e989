import { createHash } from 'node:crypto'
import { ANYONE } from '../auth/viewer.ts'
import type { Database } from '../db/connect.ts'
import { type KeptBeside, loadKeptBeside } from '../db/queries/transfers.ts'
import { AppError, type ErrorCode, isAppError } from '../errors.ts'
import type { PageRequest } from '../model/page.ts'
import { RUN_FIELDS } from '../model/run.ts'
import { SNAPSHOT_METADATA, type Snapshot } from '../model/snapshot.ts'
import { STEP_FIELDS, stepPosition } from '../model/step.ts'
import { formatDigest } from '../snapshots/measure.ts'
import type { SnapshotReader } from '../snapshots/reader.ts'
import { isMasked } from '../snapshots/source/source.ts'
import type { OpenPayload, Payloads } from '../snapshots/views/payloads.ts'
import { walkPages } from '../snapshots/walk-pages.ts'
import { FORMAT, runText, snapshotText, stepText } from './run-file.ts'
import { TAR_END, tarHead, tarPadding } from './tar-write.ts'

export interface ExportOptions {
  readonly db: Database
  readonly reader: SnapshotReader
  readonly payloads: Pick<Payloads, 'resolve' | 'open'>
  readonly runId: string
  readonly signal: AbortSignal
  /** Told of each snapshot when it is written; `code` says why its state is not in the file. */
  readonly onSnapshot: (written: {
    readonly snapshot: Snapshot
    readonly sizeBytes: number
    readonly code?: ErrorCode
  }) => void
}

/** Why a state cannot be had at all: the file is made without it. */
const LOST: readonly ErrorCode[] = [
  'OBJECT_MISSING',
  'OBJECT_CORRUPT',
  'STORAGE_URI_REJECTED',
  'UNSUPPORTED_STORAGE_SCHEME',
]

/**
 * A run as one file: a tar of what it is, its steps, and each snapshot with its state, in order, in constant memory.
 * @throws AppError `NOT_FOUND` before the first byte where there is no such run; what reading throws.
 */
export async function* exportRun(options: ExportOptions): AsyncGenerator<Buffer, void, undefined> {
  const { reader, runId, signal } = options
  const [run] = await reader.loadRuns([runId], RUN_FIELDS.all)
  if (!run) throw new AppError('NOT_FOUND', 'There is no such run')
  yield* file('manifest.json', Buffer.from(`${JSON.stringify(FORMAT)}\n`))
  yield* file('run.json', runText(run))
  const fields = { step: STEP_FIELDS.all, newest: null }
  let page = 0
  const readSteps = async (request: PageRequest) => (await reader.pageSteps([runId], { page: request, fields }))[0]
  for await (const steps of walkPages(readSteps, stepPosition)) {
    page += 1
    yield* file(`steps/${numbered(page)}.jsonl`, Buffer.concat(steps.map(stepText)))
  }
  const asked = { filter: {}, order: 'SEQ_ASC', fields: SNAPSHOT_METADATA } as const
  const lists = walkPages(
    async (request) => (await reader.pageSnapshots([{ runId }], { ...asked, page: request }))[0],
    ({ seq }) => [String(seq)],
  )
  let number = 0
  for await (const snapshots of lists) {
    const kept = await loadKeptBeside(
      options.db,
      snapshots.map(({ snapshotId }) => snapshotId),
    )
    for (const snapshot of snapshots) {
      signal.throwIfAborted()
      number += 1
      yield* one(snapshot, { ...options, number, kept: kept.get(snapshot.snapshotId) ?? NOTHING_KEPT })
    }
  }
  yield TAR_END
}

const NOTHING_KEPT: KeptBeside = { idempotencyKey: null, storedBytes: null }

interface OneOptions extends ExportOptions {
  readonly number: number
  readonly kept: KeptBeside
}

async function* one(snapshot: Snapshot, options: OneOptions): AsyncGenerator<Buffer> {
  const { number, kept, onSnapshot } = options
  const found = await openState(snapshot, options)
  const told = { snapshot, ...kept }
  const name = `snapshots/${numbered(number)}`
  if ('code' in found) {
    yield* file(`${name}.meta.json`, snapshotText({ ...told, sizeBytes: null, digest: null, lost: found.code }))
    onSnapshot({ snapshot, sizeBytes: 0, code: found.code })
    return
  }
  const { digest, opened } = found
  const { sizeBytes } = opened
  try {
    yield* file(`${name}.meta.json`, snapshotText({ ...told, sizeBytes, digest }))
    yield tarHead({ name: `${name}.state.json`, sizeBytes, digest })
    yield* checked(opened, digest)
    yield tarPadding(sizeBytes)
  } finally {
    if (!Buffer.isBuffer(opened.body)) opened.body.destroy()
    opened.release()
  }
  onSnapshot({ snapshot, sizeBytes })
}

type Found = { readonly digest: string; readonly opened: OpenPayload } | { readonly code: ErrorCode }

async function openState(snapshot: Snapshot, { payloads, signal }: ExportOptions): Promise<Found> {
  const open = async () => {
    const source = await payloads.resolve(snapshot, { viewer: ANYONE, signal })
    if (isMasked(source)) throw new AppError('FORBIDDEN', 'That state is masked')
    return await payloads.open(source, { signal })
  }
  try {
    // Nobody knows the digest of a text that its database has written anew: it is read once for that.
    const known = snapshot.digestOf === 'PAYLOAD' ? snapshot.digest : null
    const digest = known ?? (await digestOf(await open()))
    return { digest, opened: await open() }
  } catch (error) {
    if (isAppError(error) && LOST.includes(error.code)) return { code: error.code }
    throw error
  }
}

async function digestOf({ body, release }: OpenPayload): Promise<string> {
  const hash = createHash('sha256')
  try {
    for await (const chunk of chunksOf(body)) hash.update(chunk)
    return formatDigest(hash.digest())
  } finally {
    release()
  }
}

async function* checked({ body, sizeBytes }: OpenPayload, digest: string): AsyncGenerator<Buffer> {
  const hash = createHash('sha256')
  let count = 0
  for await (const chunk of chunksOf(body)) {
    count += chunk.length
    hash.update(chunk)
    yield chunk
  }
  if (count !== sizeBytes || formatDigest(hash.digest()) !== digest) {
    throw new AppError(
      'OBJECT_CORRUPT',
      'A state is not what its digest says. Run it again, and the file is made without it',
    )
  }
}

async function* chunksOf(body: OpenPayload['body']): AsyncGenerator<Buffer> {
  if (Buffer.isBuffer(body)) yield body
  else yield* body
}

function* file(name: string, content: Buffer): Generator<Buffer> {
  const digest = formatDigest(createHash('sha256').update(content).digest())
  yield tarHead({ name, sizeBytes: content.length, digest })
  yield content
  yield tarPadding(content.length)
}

function numbered(number: number): string {
  return String(number).padStart(8, '0')
}
