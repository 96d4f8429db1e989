import {
  type ASTNode,
  type ExecutionResult,
  GraphQLError,
  Kind,
  locatedError,
  type SelectionSetNode,
  visit,
} from 'graphql'
import { AppError } from '../../errors.ts'
import type { Delivery, Watch } from '../../events/watch.ts'
import type { Context } from '../context.ts'
import { measure } from '../cost.ts'
import { excessOf, type Limits } from '../limits.ts'
import { type Arguments, argumentsOf, type Document, type Execution, infoFor, type ObjectPlan } from './execution.ts'
import { ROOT } from './fields.ts'

/** Why a subscription does not begin. */
export interface Refusal {
  readonly errors: readonly GraphQLError[]
}

/** A subscription that may begin: its variables fit, and each of its answers is within the limits. */
export interface Subscription {
  readonly args: Arguments
  /** With the same text, whatever else was given, the answers to an event are the same for the same viewer. */
  variant(): string
  /** Whether an answer may hold of a state what is in it, or a link to it. */
  readonly givesStates: boolean
  /** Begins it. @throws GraphQLError at the place of its field. */
  begin(args: Arguments): Promise<Watch>
  /** The answer to one event, as that of an operation: it never rejects, and its errors are not masked. */
  answer(delivery: Delivery, context: Context): ExecutionResult | Promise<ExecutionResult>
}

export interface SubscriptionOptions extends Pick<Subscription, 'variant' | 'givesStates' | 'answer'> {
  readonly limits: Limits
}

export function planSubscription(
  execution: Execution,
  planRoot: () => ObjectPlan,
  { limits, ...options }: SubscriptionOptions,
): Refusal | Subscription {
  try {
    const root = planRoot()
    const excess = excessOf(measure(execution, root), limits)
    if (excess) return { errors: [excess] }
    const [field] = root.fields
    if (!field?.definition.subscribe) throw new AppError('BAD_REQUEST', 'A subscription needs one field of its own')
    const { subscribe } = field.definition
    const locate = (error: unknown) => locatedError(error, field.nodes, [field.key])
    const info = infoFor(execution, field, { prev: undefined, key: field.key, typename: field.parentType.name })
    return {
      ...options,
      args: argumentsOf(execution, field),
      async begin(args) {
        try {
          return (await subscribe(ROOT, args, execution.context, info)) as Watch
        } catch (error) {
          throw locate(error)
        }
      },
    }
  } catch (error) {
    return { errors: [error instanceof GraphQLError ? error : locatedError(error, undefined)] }
  }
}

const GIVING: ReadonlySet<string> = new Set(['payload', 'at', 'find', 'diff', 'signedUrl', 'download'])

/** Whether any of its fields, whatever its conditions say, gives out a state or a link to one. */
export function givesStates({ operation, fragments }: Document): boolean {
  let gives = false
  const look = (node: ASTNode) =>
    visit(node, {
      Field({ name }) {
        gives ||= GIVING.has(name.value)
      },
    })
  for (const node of [operation, ...Object.values(fragments)]) look(node)
  return gives
}

const names = new WeakMap<Document, readonly string[]>()

/** The variables that stand anywhere but in the arguments of the subscription's own field. */
export function eventVariables(document: Document): readonly string[] {
  const known = names.get(document)
  if (known) return known
  const found = new Set<string>()
  const note = (set: SelectionSetNode | undefined) => {
    if (set) visit(set, { Variable: ({ name }) => void found.add(name.value) })
  }
  for (const selection of document.operation.selectionSet.selections) {
    for (const directive of selection.directives ?? [])
      visit(directive, { Variable: ({ name }) => void found.add(name.value) })
    if (selection.kind !== Kind.FRAGMENT_SPREAD) note(selection.selectionSet)
  }
  for (const fragment of Object.values(document.fragments)) note(fragment.selectionSet)
  names.set(document, [...found])
  return [...found]
}
