import { badRequest } from './errors.ts'

/** What is known of a state beside its payload. Everything but `runId` may be left out, or be null. */
export interface CaptureRequest {
  /** The caller's own id, 1 to 512 bytes; the run is created where it is not there yet. */
  readonly runId: string
  /** Left out for a state of the run alone. */
  readonly stepId?: string | null | undefined
  /** CHECKPOINT where it is left out. */
  readonly kind?: 'INPUT' | 'CHECKPOINT' | 'OUTPUT' | 'ERROR' | null | undefined
  /** Counts from 1. */
  readonly attempt?: number | null | undefined
  /** UUID to store it under; made where it is left out. */
  readonly snapshotId?: string | null | undefined
  /** The same capture under the same key is stored once; made where it is left out, so that retries are safe. */
  readonly idempotencyKey?: string | null | undefined
  /** JSON of any shape, at most 64 KiB. */
  readonly metadata?: unknown
  readonly isSuccessState?: boolean | null | undefined
  readonly replaySafe?: boolean | null | undefined
  readonly piiTags?: readonly string[] | null | undefined
  readonly redactionPolicy?: string | null | undefined
  /** When it need not be kept any longer; a text is RFC 3339. */
  readonly expiresAt?: Date | string | null | undefined
}

/** The target of a PUT, and the headers that belong to it. */
export interface PutTarget {
  /** Percent-encoded, with its query. */
  readonly path: string
  readonly headers: Readonly<Record<string, string>>
}

/** Servers, and proxies before them, take so much of a request line. */
const PATH_MAX_LENGTH = 6000

/** How the PUT route says this capture; undefined when it cannot. */
export function putTargetOf(request: CaptureRequest): PutTarget | undefined {
  const { runId, stepId, kind, attempt, snapshotId, isSuccessState, replaySafe, redactionPolicy, piiTags } = request
  const expiresAt = instantText(request.expiresAt)
  const key = request.idempotencyKey ?? undefined
  if (stepId == null || request.metadata != null) return undefined
  if (![runId, stepId].every(isPathSegment) || (key !== undefined && !isHeaderValue(key))) return undefined
  const once = { kind, attempt, snapshotId, isSuccessState, replaySafe, redactionPolicy, expiresAt }
  const named = [...Object.entries(once), ...(piiTags ?? []).map((tag) => ['piiTags', tag] as const)]
  const pairs = named.filter(([, value]) => value != null).map(([name, value]) => [name, String(value)] as const)
  if (!pairs.every(([, value]) => value.isWellFormed())) return undefined
  const query = pairs.map(([name, value]) => `${name}=${encodeURIComponent(value)}`).join('&')
  const path = `/runs/${encodeURIComponent(runId)}/steps/${encodeURIComponent(stepId)}/snapshot`
  const whole = query === '' ? path : `${path}?${query}`
  if (whole.length > PATH_MAX_LENGTH) return undefined
  return { path: whole, headers: key === undefined ? {} : { 'idempotency-key': key } }
}

/** The capture as JSON of a GraphQL input, with more fields, each of them JSON already. */
export function inputText(request: CaptureRequest, rest: Readonly<Record<string, string>>): string {
  const { runId, stepId, kind, attempt, snapshotId, idempotencyKey, metadata, ...flags } = request
  const expiresAt = instantText(request.expiresAt)
  const { isSuccessState, replaySafe, piiTags, redactionPolicy } = flags
  const named = { runId, stepId, kind, attempt, snapshotId, idempotencyKey, metadata, expiresAt }
  const own = { ...named, isSuccessState, replaySafe, piiTags, redactionPolicy }
  const more = Object.entries(rest).map(([name, json]) => `,${JSON.stringify(name)}:${json}`)
  try {
    return `${JSON.stringify(own).slice(0, -1)}${more.join('')}}`
  } catch (cause) {
    throw badRequest('JSON cannot say that metadata', cause)
  }
}

function instantText(instant: CaptureRequest['expiresAt']): string | null | undefined {
  if (!(instant instanceof Date)) return instant
  if (Number.isNaN(instant.getTime())) throw badRequest('expiresAt is no date')
  return instant.toISOString()
}

/** URL parsers drop segments of dots, escaped or not, and no route matches an empty one. */
function isPathSegment(id: string): boolean {
  return id !== '' && id !== '.' && id !== '..' && id.isWellFormed()
}

/** Whether a header brings it over as it is: HTTP strips blanks at both ends. */
function isHeaderValue(text: string): boolean {
  return /^[\x21-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?$/.test(text)
}
