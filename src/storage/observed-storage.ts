import { isAppError } from '../errors.ts'
import type { Span } from '../telemetry/spans.ts'
import type { Telemetry } from '../telemetry/telemetry.ts'
import type { DirectUploads, StorageBackend, StorageUri, StoredObject } from './backend.ts'
import type { Storage } from './registry.ts'

/** The same storage, where every call to a backend is told of. */
export function observedStorage(storage: Storage, telemetry: Telemetry): Storage {
  const observed = new WeakMap<StorageBackend, Map<string, StorageBackend>>()

  function observe(backend: StorageBackend, uri: StorageUri): StorageBackend {
    const ofBackend = observed.get(backend) ?? new Map<string, StorageBackend>()
    observed.set(backend, ofBackend)
    // A backend has one scheme, and few buckets.
    const found = ofBackend.get(uri.bucket) ?? observedBackend(backend, uri, telemetry)
    ofBackend.set(uri.bucket, found)
    return found
  }

  return {
    ...storage,
    resolve(raw) {
      const { backend, uri } = storage.resolve(raw)
      return { backend: observe(backend, uri), uri }
    },
  }
}

type Place = Pick<StorageUri, 'scheme' | 'bucket'>

/** Tells of one call; `endOf` ends its span where that outlasts the call. */
type Tell = <T>(operation: string, call: () => Promise<T>, endOf?: (result: T, span: Span) => void) => Promise<T>

function observedBackend(backend: StorageBackend, place: Place, telemetry: Telemetry): StorageBackend {
  const tell = createTell(place, telemetry)
  const { copy, deleteMany, getSignedUrl, directUploads } = backend
  return {
    ...backend,
    get: (uri, options) => tell('get', () => backend.get(uri, options), endWithBody),
    stat: (uri, options) => tell('stat', () => backend.stat(uri, options)),
    put: (uri, body, options) => tell('put', () => backend.put(uri, body, options)),
    delete: (uri, options) => tell('delete', () => backend.delete(uri, options)),
    ...(copy && { copy: (from, to, options) => tell('copy', () => copy(from, to, options)) }),
    ...(deleteMany && {
      deleteMany: (objects, options) => tell('delete_many', () => deleteMany(objects, options)),
    }),
    ...(getSignedUrl && { getSignedUrl: (uri, options) => tell('sign', () => getSignedUrl(uri, options)) }),
    ...(directUploads && { directUploads: observedUploads(directUploads, tell) }),
  }
}

function observedUploads(uploads: DirectUploads, tell: Tell): DirectUploads {
  return {
    sign: (uri, request) => tell('upload_sign', () => uploads.sign(uri, request)),
    complete: (uri, upload, options) => tell('upload_complete', () => uploads.complete(uri, upload, options)),
    abort: (uri, upload) => tell('upload_abort', () => uploads.abort(uri, upload)),
  }
}

function createTell({ scheme, bucket }: Place, { spans, storageCall }: Telemetry): Tell {
  const attributes = { 'statelens.storage.scheme': scheme, 'aws.s3.bucket': bucket || undefined }
  return async (operation, call, endOf) => {
    const began = performance.now()
    const over = (code?: string) => storageCall({ scheme, operation }, (performance.now() - began) / 1000, code)
    const span = spans?.start(`storage ${operation}`, { kind: 'client', attributes })
    try {
      const result = await (span ? span.within(call) : call())
      over()
      if (span && endOf) endOf(result, span)
      else span?.end()
      return result
    } catch (error) {
      over(isAppError(error) ? error.code : 'ABORTED')
      span?.end(error)
      throw error
    }
  }
}

function endWithBody({ body, sizeBytes }: StoredObject, span: Span): void {
  span.set({ 'statelens.object.size': sizeBytes })
  body.once('close', () => span.end(body.errored ?? undefined))
}
