import {
  type DocumentNode,
  type ExecutionResult,
  type FragmentDefinitionNode,
  GraphQLError,
  type GraphQLObjectType,
  type GraphQLSchema,
  getOperationAST,
  Kind,
  type OperationDefinitionNode,
  OperationTypeNode,
} from 'graphql'
import { LRUCache } from 'lru-cache'
import type { Scope } from '../../auth/viewer.ts'
import type { Context } from '../context.ts'
import { type Cost, measure } from '../cost.ts'
import { excessOf, type Limits } from '../limits.ts'
import { scopesOfOperation } from '../scopes.ts'
import { conditionVariables, evaluateConditions } from './conditions.ts'
import {
  addError,
  createExecution,
  type Document,
  type Execution,
  isPromise,
  type ObjectPlan,
  type Variables,
} from './execution.ts'
import { executeSerially, ROOT } from './fields.ts'
import { planObject } from './plan.ts'
import { eventVariables, givesStates, planSubscription, type Refusal, type Subscription } from './subscription.ts'
import { createVariables } from './variables.ts'

/** One operation of a document that was validated; it may be executed any number of times. */
export interface Operation {
  readonly type: OperationTypeNode
  /** Undefined for one without a name. */
  readonly name: string | undefined
  /** What its viewer must hold, all of them. */
  readonly scopes: readonly Scope[]
  /**
   * Answers as graphql-js does, to the order of keys and errors. It never rejects; errors are not masked yet.
   * @param given the variables as a client sent them.
   * @param body the JSON that they came in, where there was one.
   */
  execute(given: Variables, context: Context, body?: string): ExecutionResult | Promise<ExecutionResult>
  /** Looks at what a subscription asks for, and begins nothing. The errors are not masked. */
  subscribe(given: Variables, context: Context): Refusal | Subscription
}

export interface OperationOptions {
  readonly schema: GraphQLSchema
  readonly document: DocumentNode
  /** Null or undefined: the only one there is. */
  readonly operationName: string | null | undefined
  readonly limits: Limits
}

/** What the conditions leave of an operation. */
interface Variant {
  readonly document: Document
  /** @throws GraphQLError for a condition that has no value. */
  readonly root: () => ObjectPlan
  /** What it costs where that is the same each time, once that was found to be within the limits. */
  within?: Cost
}

/** Of an operation with many conditions those that come again are few. */
const VARIANTS_MAX = 32

/** @throws GraphQLError when the document has no such operation, or the schema nothing to execute it. */
export function createOperation({ schema, document, operationName, limits }: OperationOptions): Operation {
  const operation = getOperationAST(document, operationName)
  if (!operation) throw new GraphQLError('The document has no operation of that name, or several and none is named')
  const type = rootTypeOf(schema, operation)
  const whole: Document = { schema, operation, fragments: fragmentsOf(document) }
  const coerce = createVariables(schema, operation)
  const conditions = conditionVariables(whole)
  const variants = new LRUCache<string, Variant>({ max: VARIANTS_MAX })

  function variantFor(variables: Variables): Variant {
    const key = conditions.length === 0 ? '' : conditions.map((name) => String(variables[name])).join()
    const known = variants.get(key)
    if (known) return known
    // Only these are kept: the other variables may be large.
    const values = Object.fromEntries(Object.entries(variables).filter(([name]) => conditions.includes(name)))
    const evaluated = evaluateConditions(whole, values)
    const sets = [evaluated.operation.selectionSet]
    let root: ObjectPlan | undefined
    const made: Variant = {
      document: evaluated,
      root() {
        root ??= planObject(evaluated, type, { sets, conditions: values })
        return root
      },
    }
    variants.set(key, made)
    return made
  }

  return {
    type: operation.operation,
    name: operation.name?.value,
    scopes: scopesOfOperation(schema, document, operation),
    execute(given, context, body) {
      const { values: variables, errors } = coerce(given, body)
      if (errors.length > 0) return { errors }
      const variant = variantFor(variables)
      const { document: evaluated } = variant
      const execution = createExecution({ document: evaluated, context, variables, bytesMax: limits.bytes })
      return run(execution, { variant, limits, source: ROOT })
    },
    subscribe(given, context) {
      const { values: variables, errors } = coerce(given)
      if (errors.length > 0) return { errors }
      const variant = variantFor(variables)
      const { document: evaluated, root } = variant
      const executionFor = (of: Context) =>
        createExecution({ document: evaluated, context: of, variables, bytesMax: limits.bytes })
      return planSubscription(executionFor(context), root, {
        limits,
        givesStates: givesStates(whole),
        variant: () => JSON.stringify(eventVariables(whole).map((name) => variables[name] ?? null)),
        answer: (event, of) => run(executionFor(of), { variant, limits, source: event }),
      })
    },
  }
}

function rootTypeOf(schema: GraphQLSchema, operation: OperationDefinitionNode): GraphQLObjectType {
  const type = schema.getRootType(operation.operation)
  if (!type) throw new GraphQLError(`There is no ${operation.operation} here`, { nodes: operation })
  return type
}

function fragmentsOf({ definitions }: DocumentNode): Record<string, FragmentDefinitionNode> {
  const fragments: Record<string, FragmentDefinitionNode> = Object.create(null)
  for (const node of definitions) if (node.kind === Kind.FRAGMENT_DEFINITION) fragments[node.name.value] = node
  return fragments
}

interface Running {
  readonly variant: Variant
  readonly limits: Limits
  /** What the fields of the root are read from. */
  readonly source: object
}

/** Each operation comes here: what was found once is not looked at again. */
function run(execution: Execution, { variant, limits, source }: Running): ReturnType<Operation['execute']> {
  const { errors, document } = execution
  const isSerial = document.operation.operation === OperationTypeNode.MUTATION
  const answer = (data: unknown) => {
    const excess = execution.bytes > limits.bytes ? excessOf({ bytes: execution.bytes }, limits) : undefined
    // Whoever changed something is told that the answer is lost, not that nothing was done.
    if (excess) return isSerial ? { errors: [excess], data: null } : { errors: [excess] }
    return (errors.length === 0 ? { data } : { errors, data }) as ExecutionResult
  }
  const failed = (error: unknown) => {
    addError(execution, error as GraphQLError, undefined)
    return answer(null)
  }
  try {
    const root = variant.root()
    const cost = measure(execution, root)
    const excess = cost === variant.within ? undefined : excessOf(cost, limits)
    if (excess) return { errors: [excess] }
    variant.within = cost
    const data = isSerial ? executeSerially(root, execution) : root.execute(execution, source, undefined)
    return isPromise(data) ? data.then(answer, failed) : answer(data)
  } catch (error) {
    return failed(error)
  }
}
