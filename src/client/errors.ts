export interface StatelensErrorDetails {
  readonly status?: number | undefined
  readonly retryable?: boolean | undefined
  readonly retryAfterMillis?: number | undefined
  readonly cause?: unknown
}

/**
 * A call that failed. The message names what failed; it holds no payload and no address that is signed.
 *
 * `code` is one of the server's own (`CONFLICT`, `INVALID_PAYLOAD`, `DATABASE_UNAVAILABLE`, …), or one of three of this client:
 * `NETWORK`, no answer came; `UPLOAD_REFUSED`, the object store said no; `UNEXPECTED_ANSWER`, something else than the server
 * answered, such as a proxy.
 */
export class StatelensError extends Error {
  override readonly name = 'StatelensError'
  readonly code: string
  /** HTTP status of the answer; undefined when there was none. */
  readonly status: number | undefined
  /** Whether the same call may succeed later. */
  readonly retryable: boolean
  /** How long whoever answered asks to wait; undefined when it does not say. */
  readonly retryAfterMillis: number | undefined

  constructor(code: string, message: string, details: StatelensErrorDetails = {}) {
    super(message, 'cause' in details ? { cause: details.cause } : undefined)
    this.code = code
    this.status = details.status
    this.retryable = details.retryable ?? false
    this.retryAfterMillis = details.retryAfterMillis
  }
}

/** Input that no server could take. */
export function badRequest(message: string, cause?: unknown): StatelensError {
  return new StatelensError('BAD_REQUEST', message, cause === undefined ? {} : { cause })
}

export function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null
}

/** The JSON of a text; undefined when it is none. */
export function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
