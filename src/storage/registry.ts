import { resolve } from 'node:path'
import { AppError } from '../errors.ts'
import type { RawBackend, StorageBackend, StorageUri } from './backend.ts'
import { createFileBackend, type FileBackendOptions } from './file/file-backend.ts'
import { marked, type StoreIdentity } from './file/mark.ts'
import { resuming } from './resume.ts'
import { createS3Backend, type S3BackendOptions } from './s3/s3-backend.ts'
import { formatStorageUri, parseStorageUri } from './uri.ts'

export interface FileSettings extends FileBackendOptions {
  /** By which its folder is known; left out, any folder will do. */
  readonly identity?: StoreIdentity | undefined
}

export type S3Settings = Omit<S3BackendOptions, 'scheme'>

/** URI scheme -> backend. A new one is its file and one line here; settings with a `bucket` mean `scheme://bucket/key`. */
const BACKENDS = {
  s3: (settings: S3Settings) => createS3Backend({ ...settings, scheme: 's3' }),
  minio: (settings: S3Settings) => createS3Backend({ ...settings, scheme: 'minio' }),
  file: ({ identity, ...settings }: FileSettings) =>
    identity ? marked(createFileBackend(settings), { ...settings, identity }) : createFileBackend(settings),
} as const

export type StorageScheme = keyof typeof BACKENDS

/** The settings of each backend that is in use. */
type BackendSettings = { readonly [S in StorageScheme]?: Parameters<(typeof BACKENDS)[S]>[0] }

export interface StorageOptions extends BackendSettings {
  /** Where new objects go; its settings must be given. */
  readonly defaultScheme: StorageScheme
  /** Buckets that a URI may name besides the configured one of its scheme. */
  readonly allowedBuckets?: readonly string[]
}

export interface Storage {
  /**
   * Finds the backend for a raw URI, and opens no connection. `object-storage://key` is that key in the default backend.
   * @throws AppError `STORAGE_URI_REJECTED` when the URI is malformed or names a bucket that is not allowed;
   * `UNSUPPORTED_STORAGE_SCHEME` when no backend is set up for its scheme.
   */
  resolve(raw: string): { readonly backend: StorageBackend; readonly uri: StorageUri }

  /** Where a new object of the default backend goes. */
  newUri(key: string): StorageUri

  /** Whether the default backend is usable; rejects as `StorageBackend.check` does. */
  check(options?: { readonly signal?: AbortSignal }): Promise<void>

  close(): void
}

interface Entry {
  readonly backend: StorageBackend
  /** Empty where URIs have no bucket. */
  readonly bucket: string
}

export function createStorage(options: StorageOptions): Storage {
  const { defaultScheme, allowedBuckets = [] } = options
  const entries = createEntries(options)
  const defaultEntry = entries.get(defaultScheme)
  if (defaultEntry === undefined) {
    throw new AppError('UNSUPPORTED_STORAGE_SCHEME', `Settings for ${defaultScheme}:// are missing`)
  }
  const uriOptions = {
    fileRoot: options.file && resolve(options.file.root),
    bucketSchemes: Object.keys(BACKENDS).filter((scheme) => scheme !== 'file'),
    aliasOf: defaultScheme === 'file' ? 'file:///' : `${defaultScheme}://${defaultEntry.bucket}/`,
  }

  return {
    resolve(raw) {
      const uri = parseStorageUri(raw, uriOptions)
      const entry = entries.get(uri.scheme)
      if (entry === undefined)
        throw new AppError('UNSUPPORTED_STORAGE_SCHEME', `No storage is set up for ${uri.scheme}://`)
      if (uri.bucket !== entry.bucket && !allowedBuckets.includes(uri.bucket)) {
        throw new AppError('STORAGE_URI_REJECTED', 'Storage URI refused: its bucket is not allowed')
      }
      return { backend: entry.backend, uri }
    },

    newUri(key) {
      const uri = { scheme: defaultScheme, bucket: defaultEntry.bucket, key }
      return parseStorageUri(formatStorageUri(uri), uriOptions)
    },

    check: (checkOptions) => defaultEntry.backend.check(checkOptions),

    close() {
      for (const { backend } of entries.values()) backend.close()
    },
  }
}

function createEntries(options: BackendSettings): Map<string, Entry> {
  const entries = new Map<string, Entry>()
  for (const [scheme, create] of Object.entries(BACKENDS)) {
    const settings = options[scheme as StorageScheme]
    if (settings === undefined) continue
    // The types of BackendSettings pair each settings object with its factory; a loop cannot see that.
    const backend = (create as (settings: object) => RawBackend)(settings)
    entries.set(scheme, { backend: resuming(backend), bucket: 'bucket' in settings ? settings.bucket : '' })
  }
  return entries
}
