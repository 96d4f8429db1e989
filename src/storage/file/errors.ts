import { AppError } from '../../errors.ts'

const NOT_A_FILE = ['STORAGE_URI_REJECTED', 'The storage URI does not lead to a plain file'] as const

const CODES = {
  ENOENT: ['OBJECT_MISSING', 'No object at the storage URI'],
  ENOTDIR: ['OBJECT_MISSING', 'No object at the storage URI'],
  EEXIST: ['CONFLICT', 'An object is already there'],
  /** A link. */
  ELOOP: NOT_A_FILE,
  /** A socket, or a device that is gone. */
  ENXIO: NOT_A_FILE,
  EISDIR: NOT_A_FILE,
  ENAMETOOLONG: NOT_A_FILE,
} as const

/** What reading or deleting a file failed with. Neither message nor cause holds a path of the host, as Node's own do. */
export function fileError(error: unknown): AppError {
  if (error instanceof AppError) return error
  const code = errnoOf(error)
  const [appCode, message] = isListed(code)
    ? CODES[code]
    : (['STORAGE_UNAVAILABLE', 'The storage folder failed'] as const)
  return new AppError(appCode, message, { cause: causeOf(code) })
}

/** The same for writing: what is missing then is not the object. */
export function writeError(error: unknown): AppError {
  const failure = fileError(error)
  return failure.code === 'OBJECT_MISSING' ? folderError(error) : failure
}

/** What making or using a folder failed with: a file in its place is no object of ours. */
export function folderError(error: unknown): AppError {
  const failure = fileError(error)
  if (failure.code === 'STORAGE_URI_REJECTED') return failure
  return new AppError('STORAGE_UNAVAILABLE', 'The storage folder is not usable', { cause: failure.cause })
}

/** `ENOENT` and the like. */
export function errnoOf(error: unknown): string {
  return error instanceof Error && 'code' in error ? String(error.code) : 'not a file system error'
}

export function hasErrno(error: unknown, ...codes: readonly string[]): boolean {
  return codes.includes(errnoOf(error))
}

/** A log shows the code, and no message that is not ours. */
function causeOf(code: string): Error {
  return Object.assign(new Error(code), { code })
}

function isListed(code: string): code is keyof typeof CODES {
  return Object.hasOwn(CODES, code)
}
