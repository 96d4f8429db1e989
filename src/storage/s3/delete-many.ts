import { createHash } from 'node:crypto'
import { DeleteObjectsCommand, type ObjectIdentifier } from '@aws-sdk/client-s3'
import type { AppError } from '../../errors.ts'
import type { DoomedObject, StorageBackend } from '../backend.ts'
import { withDeadline } from '../deadline.ts'
import type { DeleteStore, S3Delete } from './delete.ts'
import { httpStatus, refusedKey, storeError } from './errors.ts'

/** Its answer names each of them, and is read up to a limit. */
const BATCH = 100
/** Half of the sockets for small requests: a sweep leaves room for the others. */
const AT_ONCE = 16
/** A store that does not know the request, or not in this form. */
const UNKNOWN_REQUEST = new Set([400, 404, 405, 411, 501])

type Outcome = AppError | null

interface Entry {
  readonly object: DoomedObject
  /** Undefined until it is known. */
  outcome?: Outcome
}

/** By one request for many where the store takes it, and by one for each where it does not. */
export function createDeleteMany(
  { control, deadlineMs }: DeleteStore,
  steps: S3Delete,
): NonNullable<StorageBackend['deleteMany']> {
  let takesMany = true

  /** Settles those that the store names: an answer is believed for nothing else. */
  async function deleteTogether(entries: readonly Entry[], signal?: AbortSignal): Promise<void> {
    const [bucket = ''] = entries.map(({ object }) => object.uri.bucket)
    const Objects = entries.map(({ object }) => identify(object))
    const command = withMd5(new DeleteObjectsCommand({ Bucket: bucket, Delete: { Objects } }))
    const { Deleted = [], Errors = [] } = await withDeadline({ deadlineMs, signal }, (abortSignal) =>
      control.send(command, { abortSignal }),
    )
    const deleted = new Map(Deleted.map((one) => [nameOf(one), one]))
    const refused = new Map(Errors.map((one) => [nameOf(one), refusedKey(one)]))
    await inParallel(entries, async (entry) => {
      const { uri, versionId } = entry.object
      const name = nameOf(identify(entry.object))
      const one = deleted.get(name)
      if (!one) entry.outcome = await explained(entry, refused.get(name), signal)
      else if (versionId !== null) entry.outcome = null
      else await settle(entry, () => steps.deleteVersions(uri, { isMarked: one.DeleteMarker === true }, signal), signal)
    })
  }

  /** Of many that are refused each may have its own reason: that of a lock is worth asking for. */
  async function explained(
    { object: { uri, versionId } }: Entry,
    refusal: Outcome | undefined,
    signal?: AbortSignal,
  ): Promise<Outcome | undefined> {
    if (!refusal || !isDenied(refusal)) return refusal
    return (await steps.explainRefusal(uri, versionId ?? undefined, signal)) ?? refusal
  }

  async function deleteBatch(entries: readonly Entry[], signal?: AbortSignal): Promise<void> {
    let isUnknown = false
    if (takesMany) {
      try {
        await deleteTogether(entries, signal)
      } catch (error) {
        if (signal?.aborted) throw signal.reason
        isUnknown = UNKNOWN_REQUEST.has(httpStatus(error) ?? 0)
        if (!isUnknown) for (const entry of entries) entry.outcome = storeError(error)
      }
    }
    const open = entries.filter(({ outcome }) => outcome === undefined)
    await inParallel(open, (entry) => settle(entry, () => steps.deleteObject(entry.object, signal), signal))
    // Not where all fails: that may be the fault of the bucket or of the credentials.
    if (isUnknown && open.some(({ outcome }) => outcome === null)) takesMany = false
  }

  return async (objects, { signal } = {}) => {
    signal?.throwIfAborted()
    const entries = objects.map((object): Entry => ({ object }))
    await inParallel(entries, async (entry) => {
      const failure = await outcomeOf(() => steps.abortUploads(entry.object, signal), signal)
      if (failure) entry.outcome = failure
    })
    const due = entries.filter(({ outcome }) => outcome === undefined)
    for (const ofBucket of Map.groupBy(due, ({ object }) => object.uri.bucket).values()) {
      for (let at = 0; at < ofBucket.length; at += BATCH) await deleteBatch(ofBucket.slice(at, at + BATCH), signal)
    }
    return entries.map(({ outcome = null }) => outcome)
  }
}

async function settle(entry: Entry, act: () => Promise<void>, signal?: AbortSignal): Promise<void> {
  entry.outcome = await outcomeOf(act, signal)
}

async function outcomeOf(act: () => Promise<void>, signal?: AbortSignal): Promise<Outcome> {
  try {
    await act()
    return null
  } catch (error) {
    if (signal?.aborted) throw signal.reason
    return storeError(error)
  }
}

async function inParallel<T>(items: readonly T[], act: (item: T) => Promise<void>): Promise<void> {
  const work = items.values()
  const workers = Array.from({ length: Math.min(AT_ONCE, items.length) }, async () => {
    for (const item of work) await act(item)
  })
  await Promise.all(workers)
}

function isDenied({ cause }: AppError): boolean {
  return cause instanceof Error && 'code' in cause && cause.code === 'AccessDenied'
}

function identify({ uri, versionId }: DoomedObject): ObjectIdentifier {
  return { Key: uri.key, VersionId: versionId ?? undefined }
}

/** Keys hold no line break. */
function nameOf({
  Key,
  VersionId,
}: {
  readonly Key?: string | undefined
  readonly VersionId?: string | undefined
}): string {
  return `${Key}\n${VersionId ?? ''}`
}

/** Older stores ask for it, and know no other checksum. */
function withMd5(command: DeleteObjectsCommand): DeleteObjectsCommand {
  command.middlewareStack.add(
    (next) => async (args) => {
      const { request } = args
      if (hasBody(request)) request.headers['content-md5'] = createHash('md5').update(request.body).digest('base64')
      return await next(args)
    },
    { step: 'build', priority: 'low', name: 'contentMd5' },
  )
  return command
}

interface WithBody {
  readonly headers: Record<string, string>
  readonly body: string
}

function hasBody(request: unknown): request is WithBody {
  return typeof request === 'object' && request !== null && 'body' in request && typeof request.body === 'string'
}
