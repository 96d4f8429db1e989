import { isRecord, parseJson, StatelensError } from './errors.ts'
import type { HttpAnswer } from './http.ts'

/** The failure that an answer of a plain route says, or that its status means. */
export function failureOf(answer: HttpAnswer, otherwise = 'UNEXPECTED_ANSWER'): StatelensError {
  const { status, text, retryAfterMillis } = answer
  const said = parseJson(text)
  if (isRecord(said) && typeof said['code'] === 'string' && typeof said['message'] === 'string') {
    // 502 is an object that is damaged: it stays so.
    return new StatelensError(said['code'], said['message'], {
      status,
      retryable: [429, 503, 504].includes(status),
      retryAfterMillis,
    })
  }
  // 409: stores say so to a write that met another one of the same object, such as its own lost first attempt.
  const retryable = [408, 409, 425, 429, 500, 502, 503, 504].includes(status)
  return new StatelensError(otherwise, `The answer was HTTP ${status}`, { status, retryable, retryAfterMillis })
}

/**
 * The value of the only field of an answer's data.
 * @throws StatelensError of its first error.
 */
export function readGraphql(answer: HttpAnswer): unknown {
  return Object.values(readData(answer))[0]
}

/** An answer's data. @throws StatelensError of its first error. */
export function readData(answer: HttpAnswer): Readonly<Record<string, unknown>> {
  const body = parseJson(answer.text)
  if (!isRecord(body) || !('data' in body || 'errors' in body)) throw failureOf(answer)
  const { data, errors } = body
  if (!Array.isArray(errors) || errors.length === 0) return isRecord(data) ? data : {}
  throw failureOfErrors(errors, answer)
}

/** The failure that an answer says which should have been a stream. */
export function readRefusal(answer: HttpAnswer): StatelensError {
  const body = parseJson(answer.text)
  return isRecord(body) && 'errors' in body ? failureOfErrors(body['errors'], answer) : failureOf(answer)
}

/** The failure that the first of some GraphQL errors says. */
export function failureOfErrors(errors: unknown, details: Omit<HttpAnswer, 'text'>): StatelensError {
  const [error]: unknown[] = Array.isArray(errors) ? errors : []
  if (!isRecord(error)) return new StatelensError('UNEXPECTED_ANSWER', 'The answer is none of GraphQL', details)
  const { code, retryable } = isRecord(error['extensions']) ? error['extensions'] : {}
  return new StatelensError(typeof code === 'string' ? code : 'UNEXPECTED_ANSWER', String(error['message']), {
    ...details,
    retryable: retryable === true,
  })
}
