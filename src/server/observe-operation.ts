import type { ExecutionResult, GraphQLError } from 'graphql'
import { ERRORS } from '../errors.ts'
import type { Operation } from '../graphql/execution/operation.ts'
import type { OperationOutcome, Telemetry } from '../telemetry/telemetry.ts'

/** An operation, and who is told of each time that it is executed, or begun. */
export interface ObservedOperation extends Operation {
  /** Does it within its span, where traces are collected; otherwise it does nothing but that. */
  within<Result>(execute: () => Result | Promise<Result>): Result | Promise<Result>
  /** @param began by `performance.now()`. */
  ended(began: number, result: Ended): void
}

/** An answer, or a stream of them. */
type Ended = Pick<ExecutionResult, 'data' | 'errors'>

/** The same operation, made once for all its executions. */
export function observeOperation(operation: Operation, telemetry: Telemetry): ObservedOperation {
  const { type, name } = operation
  const { spans } = telemetry
  const tell = telemetry.operation(name, type)
  const ended: ObservedOperation['ended'] = (began, result) =>
    tell((performance.now() - began) / 1000, outcomeOf(result))
  if (!spans) return { ...operation, ended, within: (execute) => execute() }
  const title = name === undefined ? type : `${type} ${name}`
  const attributes = { 'graphql.operation.type': type, 'graphql.operation.name': name }
  return {
    ...operation,
    ended,
    async within(execute) {
      const span = spans.start(title, { attributes })
      const result = await span.within(execute)
      span.end(failureOf(result as Ended))
      return result
    },
  }
}

function outcomeOf({ data, errors }: Ended): OperationOutcome {
  if (!errors?.length) return 'ok'
  return data == null ? 'failed' : 'partial'
}

/** Undefined where there is something beside the errors, which may not be masked yet. */
function failureOf({ data, errors = [] }: Ended): unknown {
  const [first] = data == null ? errors : []
  return first?.originalError ?? first?.extensions['code'] ?? first
}

export interface ObservedFailures {
  /** The same mask. */
  observe(mask: (error: unknown) => GraphQLError): (error: unknown) => GraphQLError
  /** For errors that no mask had to see. */
  tell(errors: readonly GraphQLError[]): void
}

/** Tells of each failure that a client reads by its code, once, however often it passes. */
export function observeFailures({ failed }: Telemetry): ObservedFailures {
  const told = new WeakSet<GraphQLError>()
  function tell(error: GraphQLError): void {
    if (told.has(error)) return
    told.add(error)
    const { code } = error.extensions
    failed(typeof code === 'string' && code in ERRORS ? code : 'BAD_REQUEST')
  }
  return {
    observe: (mask) => (error) => {
      const masked = mask(error)
      tell(masked)
      return masked
    },
    tell: (errors) => errors.forEach(tell),
  }
}
