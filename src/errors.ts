/** Every failure this server names on purpose: the HTTP status of plain routes, and whether the same call may succeed later. */
export const ERRORS = {
  BAD_REQUEST: { status: 400 },
  GRAPHQL_PARSE_FAILED: { status: 400 },
  GRAPHQL_VALIDATION_FAILED: { status: 400 },
  QUERY_TOO_COMPLEX: { status: 400 },
  PERSISTED_QUERY_NOT_SUPPORTED: { status: 400 },
  UNAUTHENTICATED: { status: 401 },
  FORBIDDEN: { status: 403 },
  LINK_INVALID: { status: 403 },
  LINK_EXPIRED: { status: 403 },
  NOT_FOUND: { status: 404 },
  POINTER_NOT_FOUND: { status: 404 },
  OBJECT_MISSING: { status: 404 },
  CONFLICT: { status: 409 },
  PAYLOAD_TOO_LARGE: { status: 413 },
  UNSUPPORTED_MEDIA_TYPE: { status: 415 },
  RANGE_NOT_SATISFIABLE: { status: 416 },
  INVALID_PAYLOAD: { status: 422 },
  STORAGE_URI_REJECTED: { status: 422 },
  UNSUPPORTED_STORAGE_SCHEME: { status: 422 },
  RATE_LIMITED: { status: 429, retryable: true },
  INTERNAL_SERVER_ERROR: { status: 500 },
  OBJECT_CORRUPT: { status: 502 },
  STORAGE_UNAVAILABLE: { status: 503, retryable: true },
  DATABASE_UNAVAILABLE: { status: 503, retryable: true },
  OVERLOADED: { status: 503, retryable: true },
  STORAGE_TIMEOUT: { status: 504, retryable: true },
  DATABASE_TIMEOUT: { status: 504, retryable: true },
} as const satisfies Record<string, { readonly status: number; readonly retryable?: true }>

export type ErrorCode = keyof typeof ERRORS

/**
 * A failure with a stable code. `message` is written for the client: it names the thing that failed and holds no secret,
 * payload or host path. `cause` is for the log and is never sent.
 */
export class AppError extends Error {
  override readonly name = 'AppError'
  readonly code: ErrorCode
  /** Whether the same call may succeed later. */
  readonly isRetryable: boolean
  /** What clients read beside the code and the message. */
  readonly details: Readonly<Record<string, unknown>>

  constructor(code: ErrorCode, message: string, options?: AppErrorOptions) {
    super(message, options)
    this.code = code
    this.details = options?.details ?? {}
    this.isRetryable = 'retryable' in ERRORS[code] && options?.isLasting !== true
  }
}

export interface AppErrorOptions {
  readonly cause?: unknown
  /** Whether only who runs the server can mend it, though others of its code pass by themselves. */
  readonly isLasting?: boolean
  /** Such as the nearest place that exists; no secret, payload or host path. */
  readonly details?: Readonly<Record<string, unknown>>
}

/** Nobody waits for the result any more. No failure, and nobody is answered with it: whoever decides by codes never meets it. */
export class Departure extends Error {
  override readonly name = 'Departure'

  constructor(message = 'Nobody waits for this any more') {
    super(message)
  }
}

export function isAppError(error: unknown, code?: ErrorCode): error is AppError {
  return error instanceof AppError && (code === undefined || error.code === code)
}
