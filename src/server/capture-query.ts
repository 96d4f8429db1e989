import { AppError } from '../errors.ts'
import { parseInstant } from '../model/instant.ts'
import { type CaptureInput, SNAPSHOT_KINDS } from '../model/snapshot.ts'

type CaptureFields = Omit<CaptureInput, 'runId' | 'stepId' | 'idempotencyKey' | 'metadata' | 'contentType'>
type Field = keyof CaptureFields

const ATTEMPT_MAX = 2_147_483_647

/** How each parameter is read; undefined for a value that it cannot have. */
const FIELDS: { readonly [F in Field]-?: (values: readonly string[]) => CaptureFields[F] } = {
  kind: ([value]) => SNAPSHOT_KINDS.find((kind) => kind === value),
  attempt: ([value = '']) => (/^\d{1,10}$/.test(value) && Number(value) <= ATTEMPT_MAX ? Number(value) : undefined),
  isSuccessState: ([value]) => readBoolean(value),
  replaySafe: ([value]) => readBoolean(value),
  snapshotId: ([value]) => value,
  redactionPolicy: ([value]) => value,
  piiTags: (values) => values,
  expiresAt: ([value]) => parseInstant(value),
}

/**
 * What the query of a capture says of it: `?kind=OUTPUT&attempt=2&piiTags=a&piiTags=b`. Only `piiTags` may stand there twice.
 * @param query raw, without its `?`
 * @throws AppError `BAD_REQUEST` for unknown parameters, and values that they cannot have.
 */
export function readCaptureQuery(query: string): CaptureFields {
  const values = new Map<string, string[]>()
  for (const pair of query === '' ? [] : query.split('&')) {
    const [name = '', value] = pair.split(/=(.*)/s, 2).map((part) => decodePart(part.replaceAll('+', ' ')))
    const earlier = values.get(name) ?? []
    if (!isField(name)) throw new AppError('BAD_REQUEST', 'The query has a parameter that captures do not know')
    if (value === undefined || (earlier.length > 0 && name !== 'piiTags')) throw malformed(name)
    values.set(name, [...earlier, value])
  }
  const entries = [...values].map(([name, texts]) => {
    const value = isField(name) ? FIELDS[name](texts) : undefined
    if (value === undefined) throw malformed(name)
    return [name, value] as const
  })
  return Object.fromEntries(entries)
}

/** Undoes percent-encoding, once. @throws AppError `BAD_REQUEST` when there is an escape that says nothing. */
export function decodePart(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch (error) {
    if (!(error instanceof URIError)) throw error
    throw new AppError('BAD_REQUEST', 'The URL has an escape that is malformed')
  }
}

function isField(name: string): name is Field {
  return Object.hasOwn(FIELDS, name)
}

function readBoolean(value: string | undefined): boolean | undefined {
  return value === 'true' || value === 'false' ? value === 'true' : undefined
}

function malformed(name: string): AppError {
  return new AppError('BAD_REQUEST', `The parameter ${name} has a value that it cannot have`)
}
