import { AppError } from '../errors.ts'
import type { StorageUri } from './backend.ts'

const MAX_URI_BYTES = 2048
const MAX_KEY_BYTES = 1024
/** What file systems allow for one name. */
const MAX_NAME_BYTES = 255

const BUCKET = /^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$/
const IP_ADDRESS = /^\d+(?:\.\d+){3}$/

export interface StorageUriOptions {
  /** Absolute path of the `file://` root; a path that starts with it means the rest of that path. */
  readonly fileRoot?: string
  /** Schemes of the form `scheme://bucket/key`. */
  readonly bucketSchemes?: readonly string[]
  /** What `object-storage://` stands for, such as `s3://bucket/`; unsupported when left out. */
  readonly aliasOf?: string
}

/** How another writer names objects, without a word of where they lie. */
const ALIAS = 'object-storage'

/**
 * Reads a storage URI from its raw text. Never by `new URL()`, which resolves `..`, drops tabs and cuts keys at `?` and `#`.
 * @throws AppError `STORAGE_URI_REJECTED` when it is malformed or could leave its bucket or root;
 * `UNSUPPORTED_STORAGE_SCHEME` for every scheme that is not listed, and for none at all.
 */
export function parseStorageUri(raw: string, options: StorageUriOptions = {}): StorageUri {
  const { fileRoot, bucketSchemes = ['s3', 'minio'], aliasOf } = options
  checkText(raw)
  const scheme = raw.slice(0, Math.max(raw.indexOf(':'), 0))
  if (scheme === ALIAS && aliasOf !== undefined)
    return parseStorageUri(aliasOf + after(raw, `${ALIAS}://`), { fileRoot, bucketSchemes })
  if (scheme === 'file') return { scheme, bucket: '', key: parseFileKey(raw, fileRoot) }
  if (!bucketSchemes.includes(scheme))
    throw new AppError('UNSUPPORTED_STORAGE_SCHEME', 'No storage for this URI scheme')

  const location = after(raw, `${scheme}://`)
  const slash = location.indexOf('/')
  if (slash === -1) throw rejected('it has no key')
  const bucket = location.slice(0, slash)
  const key = location.slice(slash + 1)
  checkBucket(bucket)
  checkKey(key)
  return { scheme, bucket, key }
}

/**
 * Writes a storage URI that `parseStorageUri` reads back to the same parts.
 * @throws AppError `STORAGE_URI_REJECTED` when there is none.
 */
export function formatStorageUri(uri: StorageUri): string {
  const { scheme, bucket, key } = uri
  const raw = scheme === 'file' ? `file:///${escapePath(key)}` : `${scheme}://${bucket}/${key}`
  const back = parseStorageUri(raw, { bucketSchemes: [scheme] })
  if (back.bucket !== bucket || back.key !== key) throw rejected('its parts do not belong together')
  return raw
}

function checkText(raw: string): void {
  if (Buffer.byteLength(raw) > MAX_URI_BYTES) throw rejected(`it is longer than ${MAX_URI_BYTES} bytes`)
  if (!raw.isWellFormed()) throw rejected('it is not well-formed Unicode')
  if (/\p{Cc}/u.test(raw)) throw rejected('it holds a control character')
  if (raw.startsWith(' ') || raw.endsWith(' ')) throw rejected('it starts or ends with a space')
}

function checkBucket(bucket: string): void {
  if (!BUCKET.test(bucket) || bucket.includes('..') || IP_ADDRESS.test(bucket))
    throw rejected('its bucket is no bucket name')
}

function checkKey(key: string): void {
  if (key === '') throw rejected('it has no key')
  if (Buffer.byteLength(key) > MAX_KEY_BYTES) throw rejected(`its key is longer than ${MAX_KEY_BYTES} bytes`)
  if (key.split('/').some((segment) => segment === '.' || segment === '..'))
    throw rejected('its key holds a dot segment')
}

function parseFileKey(raw: string, fileRoot: string | undefined): string {
  const path = unescapePath(after(raw, 'file://'))
  if (!path.startsWith('/')) throw rejected('it names a host')
  const root = fileRoot?.replace(/\/+$/, '') ?? ''
  const key = root !== '' && path.startsWith(`${root}/`) ? path.slice(root.length + 1) : path.slice(1)
  checkKey(key)
  // Such a key would be read as another one when it is written out and parsed again.
  if (root !== '' && `/${key}/`.startsWith(`${root}/`)) throw rejected('it repeats the path of the root')
  if (/\p{Cc}/u.test(key)) throw rejected('it holds a control character')
  const names = key.split('/')
  if (names.some((name) => name === '')) throw rejected('it holds an empty name')
  if (names.some((name) => Buffer.byteLength(name) > MAX_NAME_BYTES)) throw rejected('it holds a name that is too long')
  return key
}

function unescapePath(path: string): string {
  if (/[\\?#]|%(?:2f|5c|00)/i.test(path)) throw rejected('it holds a character that is no part of a path')
  try {
    return decodeURIComponent(path)
  } catch (error) {
    throw rejected('it holds an invalid escape', error)
  }
}

/** Only what `unescapePath` would read as something else, or refuse. */
function escapePath(path: string): string {
  return path.replace(/[ %?#]/g, encodeURIComponent)
}

function after(raw: string, prefix: string): string {
  if (!raw.startsWith(prefix)) throw rejected(`it does not start with ${prefix}`)
  return raw.slice(prefix.length)
}

/** The message leaves the URI out: only viewers with the right scope may see it. */
function rejected(why: string, cause?: unknown): AppError {
  return new AppError('STORAGE_URI_REJECTED', `Storage URI refused: ${why}`, { cause })
}
