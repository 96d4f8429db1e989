/** Why something is not there: a code of the API, or one of these two of the page itself. */
export type FaultCode = 'SERVER_GONE' | 'OFFLINE' | (string & {})

export interface FaultDetail {
  readonly path?: readonly (string | number)[] | undefined
  /** When the server asks to be called again. */
  readonly retryAfterSeconds?: number | undefined
  /** The deepest pointer that exists. */
  readonly nearest?: string | undefined
  /** How much of a state has been looked through, so that parts of it can be read. */
  readonly progress?: Progress | undefined
}

export interface Progress {
  readonly readBytes: number
  readonly sizeBytes: number | null
}

export class Fault extends Error {
  override readonly name = 'Fault'
  readonly code: FaultCode
  readonly detail: FaultDetail

  constructor(code: FaultCode, message: string, detail: FaultDetail = {}) {
    super(message)
    this.code = code
    this.detail = detail
  }
}

const PASSING = new Set([
  'OVERLOADED',
  'RATE_LIMITED',
  'STORAGE_UNAVAILABLE',
  'DATABASE_UNAVAILABLE',
  'STORAGE_TIMEOUT',
])
PASSING.add('DATABASE_TIMEOUT').add('SERVER_GONE').add('OFFLINE')

/** Whether the same question may be answered later. */
export const isPassing = ({ code }: Fault) => PASSING.has(code)

export function isAbort(error: unknown): boolean {
  return error instanceof DOMException && error.name === 'AbortError'
}

/** What is shown of a failure that is no fault: a mistake of the page. */
export function faultOf(error: unknown): Fault {
  return error instanceof Fault ? error : new Fault('INTERNAL_ERROR', `The page has met a mistake of its own: ${error}`)
}
