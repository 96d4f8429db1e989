import { type ExecutionResult, GraphQLError } from 'graphql'
import { type LazyJson, type RawSource, toJsonSegments } from './raw-json.ts'

/** The text of an answer, but for its end: `data` first, `errors` last. */
export interface AnswerText {
  readonly segments: readonly RawSource[]
  /** The end of the text, with the errors of before and those of payloads that could not be opened. */
  tail(late: readonly object[]): string
}

export function textOfAnswer({ data, errors = [], extensions }: ExecutionResult): AnswerText {
  const wire = errors.map(toWire)
  const errorsText = (late: readonly object[]) => {
    const all = [...wire, ...late]
    return all.length === 0 ? '' : `"errors":${JSON.stringify(all)}`
  }
  if (data === undefined) return { segments: ['{'], tail: (late) => `${errorsText(late)}}` }
  const segments = toJsonSegments({ data, extensions })
  const last = segments.pop() as string
  segments.push(last.slice(0, -1))
  return {
    segments,
    tail(late) {
      const text = errorsText(late)
      return text === '' ? '}' : `,${text}}`
    },
  }
}

/** What stands among the errors in the place of a payload that could not be opened. */
export function lateFailure(
  { nodes, path }: LazyJson,
  error: unknown,
  maskError: (error: unknown) => GraphQLError,
): object {
  return toWire(
    maskError(new GraphQLError('', { nodes, path, originalError: error instanceof Error ? error : undefined })),
  )
}

/** What Yoga notes for HTTP is not for clients. */
export function toWire(error: GraphQLError): object {
  const { message, locations, path, extensions } = error.toJSON()
  const { http: _http, unexpected: _unexpected, ...shown } = extensions ?? {}
  return { message, locations, path, extensions: shown }
}
