import { AppError, isAppError } from '../errors.ts'

/** What a log calls a refusal by a lock. */
const CODE = 'ObjectLocked'

/** A store lets nobody delete an object, until a moment as RFC 3339 or until somebody there lets it go. */
export function lockedError(until: string | null): AppError {
  const cause = Object.assign(new Error(CODE), { code: CODE })
  const how = until === null ? 'by a legal hold there' : `until ${until}`
  const message = `The bucket keeps an object from being deleted: it is locked ${how}`
  return new AppError('STORAGE_UNAVAILABLE', message, {
    cause,
    isLasting: true,
    details: until === null ? {} : { lockedUntil: until },
  })
}

/** Whether a store refused for that reason. */
export function isLocked(error: unknown): error is AppError {
  return isAppError(error) && error.cause instanceof Error && 'code' in error.cause && error.cause.code === CODE
}

/** The moment; null where none is known, or it was another failure. */
export function lockedUntil(error: unknown): string | null {
  const until = isLocked(error) ? error.details['lockedUntil'] : null
  return typeof until === 'string' ? until : null
}
