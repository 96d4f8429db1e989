import { GraphQLError } from 'graphql'
import { type AppError, Departure, ERRORS, isAppError } from '../errors.ts'

/**
 * The only place where a failure becomes something a client reads: a named one shows its code and message, a fault of the
 * request shows what graphql says of it, and all else is hidden. `report` is told of what is hidden.
 */
export function createErrorMask(report: (error: unknown) => void): (error: unknown) => GraphQLError {
  return (error) => {
    const thrown = originOf(error)
    if (isAppError(thrown)) {
      if (thrown.cause !== undefined) report(thrown)
      return inPlaceOf(error, thrown.message, extensionsOf(thrown))
    }
    if (error instanceof GraphQLError && thrown instanceof GraphQLError) return withKnownCode(error)
    // Nobody reads the answer, and nothing went wrong here.
    if (!(thrown instanceof Departure)) report(thrown)
    return inPlaceOf(error, 'Something went wrong on the server', { code: 'INTERNAL_SERVER_ERROR' })
  }
}

function originOf(error: unknown): unknown {
  let origin = error
  while (origin instanceof GraphQLError && origin.originalError) origin = origin.originalError
  return origin
}

/** Faults of the request that graphql or Yoga found. Their codes are not all ours. */
function withKnownCode(error: GraphQLError): GraphQLError {
  const { code, http } = error.extensions
  if (typeof code === 'string' && code in ERRORS) return error
  return inPlaceOf(error, error.message, { code: 'BAD_REQUEST', http })
}

/** Another error at the same place of the answer and of the operation's text. */
function inPlaceOf(error: unknown, message: string, extensions: Record<string, unknown>): GraphQLError {
  if (!(error instanceof GraphQLError)) return new GraphQLError(message, { extensions })
  const { nodes, path, source, positions } = error
  return new GraphQLError(message, { nodes, path, source, positions, extensions })
}

/** What a client reads of a failure beside its message. */
export function extensionsOf({ code, isRetryable, details }: AppError) {
  return isRetryable ? { code, retryable: true, ...details } : { code, ...details }
}
