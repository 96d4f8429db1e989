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
  if (httpStatus(error) !== 412) return storeError(error)
  return new AppError('CONFLICT', 'An object is already there', { cause: describe(error) })
}

/** What a request failed with where the object cannot be the reason. */
export function storeError(error: unknown): AppError {
  if (isAppError(error)) return error
  const options = { cause: describe(error) }
  if (isTimeout(error)) return new AppError('STORAGE_TIMEOUT', 'Object storage did not answer in time', options)
  return new AppError('STORAGE_UNAVAILABLE', 'Object storage cannot be used', options)
}

/** Of a connection or an answer that did not come in time, and of a body that stopped. */
const TIMEOUTS = new Set<unknown>(['ETIMEDOUT', 'UND_ERR_BODY_TIMEOUT'])

/** The SDK gives a connection that was reset the name of a timeout too; its code tells them apart. */
function isTimeout(error: unknown): boolean {
  const code = property(error, 'code')
  return TIMEOUTS.has(code) || (property(error, 'name') === 'TimeoutError' && code === undefined)
}

/**
 * The part of an SDK error that a log may hold: the error itself carries headers and, when a signature was wrong, all that
 * was signed. Without an answer the message is Node's or the SDK's own, and says what to mend.
 */
function describe(error: unknown): Error {
  const status = httpStatus(error)
  const detail = status === undefined ? String(property(error, 'message')) : `HTTP ${status}`
  return new Error(`${String(property(error, 'name')).slice(0, 100)}: ${detail}`)
}

function property(value: unknown, name: string): unknown {
  return typeof value === 'object' && value !== null ? Reflect.get(value, name) : undefined
}
