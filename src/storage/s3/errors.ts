import { AppError, isAppError } from '../../errors.ts'

/** Names that come with 404 but speak of something else than the object. */
const OTHER_404 = new Set(['NoSuchBucket', 'NoSuchUpload'])

/** HTTP status that an SDK error came with; undefined when no answer arrived. */
export function httpStatus(error: unknown): number | undefined {
  const metadata = property(error, '$metadata')
  const status = property(metadata, 'httpStatusCode')
  return typeof status === 'number' ? status : undefined
}

/** What reading or deleting an object failed with. Decided on name and status alone: some stores send no message. */
export function objectError(error: unknown): AppError {
  const name = String(property(error, 'name'))
  const status = httpStatus(error)
  const options = { cause: describe(error) }
  if (name === 'NoSuchKey' || (status === 404 && !OTHER_404.has(name))) {
    return new AppError('OBJECT_MISSING', 'No object at the storage URI', options)
  }
  if (status === 412) return new AppError('CONFLICT', 'The object is another version', options)
  if (status === 416) return new AppError('RANGE_NOT_SATISFIABLE', 'The range reaches outside the object', options)
  return storeError(error)
}

/** What making an object failed with. */
export function putError(error: unknown): AppError {
  const options = { cause: describe(error) }
  // A proxy in front of the store may say so as well.
  if (property(error, 'name') === 'EntityTooLarge' || httpStatus(error) === 413) {
    return new AppError('PAYLOAD_TOO_LARGE', 'Object storage holds no object of that size', options)
  }
  if (httpStatus(error) !== 412) return storeError(error)
  return new AppError('CONFLICT', 'An object is already there', options)
}

/** Names of what is not there to be deleted. */
const ABSENT = new Set<unknown>(['NoSuchKey', 'NoSuchVersion'])

/** Why one of many objects was not deleted, by the name that the store gives; null where it is gone all the same. */
export function refusedKey({ Code: code }: { readonly Code?: string | undefined }): AppError | null {
  if (ABSENT.has(code)) return null
  const cause = Object.assign(new Error('The store refused one key of many'), { code: isWord(code) ? code : 'unknown' })
  return new AppError('STORAGE_UNAVAILABLE', 'Object storage did not delete an object', { cause })
}

/** What a request failed with where the object cannot be the reason. */
export function storeError(error: unknown): AppError {
  if (isAppError(error)) return error
  const options = { cause: describe(error) }
  if (isTimeout(error)) return new AppError('STORAGE_TIMEOUT', 'Object storage did not answer in time', options)
  if (isElsewhere(error)) {
    return new AppError(
      'STORAGE_UNAVAILABLE',
      'The bucket is in another region than the settings say',
      lasting(options),
    )
  }
  if (WRONG_SETTINGS.has(property(error, 'name'))) {
    return new AppError('STORAGE_UNAVAILABLE', 'Object storage cannot be used with these settings', lasting(options))
  }
  return new AppError('STORAGE_UNAVAILABLE', 'Object storage cannot be used', options)
}

function lasting(options: { readonly cause: Error }) {
  return { ...options, isLasting: true }
}

/** What no repeat mends: names, keys and regions are settings. */
const WRONG_SETTINGS = new Set<unknown>([
  'NoSuchBucket',
  'InvalidAccessKeyId',
  'SignatureDoesNotMatch',
  'InvalidBucketName',
])
const ELSEWHERE = new Set<unknown>([
  'PermanentRedirect',
  'AuthorizationHeaderMalformed',
  'IllegalLocationConstraintException',
])

/** An answer to HEAD has no name. */
function isElsewhere(error: unknown): boolean {
  return ELSEWHERE.has(property(error, 'name')) || httpStatus(error) === 301
}

/** Of a connection or an answer that did not come in time, and of a body that stopped. */
const TIMEOUTS = new Set<unknown>(['ETIMEDOUT', 'UND_ERR_BODY_TIMEOUT'])

/** The SDK gives a connection that was reset the name of a timeout too; its code tells them apart. */
function isTimeout(error: unknown): boolean {
  const code = property(error, 'code')
  return TIMEOUTS.has(code) || (property(error, 'name') === 'TimeoutError' && code === undefined)
}

/**
 * The part of an SDK error that a log may hold, as properties: the error itself carries headers and, when a signature was
 * wrong, all that was signed. `code` is what the store calls it (`AccessDenied`) or, without an answer, what Node does
 * (`ECONNREFUSED`). The message says the same to who sets the server up.
 */
function describe(error: unknown): Error {
  const name = String(property(error, 'name')).slice(0, 100)
  const status = httpStatus(error)
  if (status !== undefined) {
    const code = isWord(name) ? name : 'unknown'
    return Object.assign(new Error(`${name}: HTTP ${status}`), { code, status })
  }
  const code = property(error, 'code') ?? name
  const cause = new Error(`${name}: ${String(property(error, 'message'))}`)
  return isWord(code) ? Object.assign(cause, { code }) : cause
}

/** A store may answer with anything. */
function isWord(value: unknown): value is string {
  return typeof value === 'string' && /^\w{1,64}$/.test(value)
}

function property(value: unknown, name: string): unknown {
  return typeof value === 'object' && value !== null ? Reflect.get(value, name) : undefined
}
