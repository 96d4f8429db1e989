import {
  type FieldNode,
  type FragmentDefinitionNode,
  type GraphQLError,
  type GraphQLField,
  type GraphQLObjectType,
  type GraphQLOutputType,
  type GraphQLResolveInfo,
  type GraphQLSchema,
  isNonNullType,
  locatedError,
  type OperationDefinitionNode,
} from 'graphql'
import type { Context } from '../context.ts'

/** An operation whose conditions were evaluated; what they exclude is not in it. */
export interface Document {
  readonly schema: GraphQLSchema
  readonly operation: OperationDefinitionNode
  readonly fragments: Readonly<Record<string, FragmentDefinitionNode>>
}

/** The fields that a selection asks of one type of object, in the order of the selection. */
export interface ObjectPlan {
  readonly fields: readonly FieldPlan[]
  /**
   * Resolves them at once, as graphql-js does, to the order of what happens.
   * @param path undefined at the root.
   * @throws the first failure of a field that may not be null, when all is known at once; otherwise the promise rejects with it.
   */
  readonly execute: (execution: Execution, source: object, path: Path | undefined) => object | Promise<object>
}

/** One field of the answer: what graphql-js finds out for every object is found once. */
export interface FieldPlan {
  readonly key: string
  readonly nodes: readonly FieldNode[]
  readonly parentType: GraphQLObjectType
  readonly definition: GraphQLField<unknown, Context>
  /** Whether it is read from its object, and holds none itself: nothing needs to know its place. */
  readonly isPlainLeaf: boolean
  /** Of a plain leaf: tells values that stand in the answer as they are; undefined where that is not known. */
  readonly keeps: Keeps | undefined
  readonly complete: Complete
  readonly arguments: ArgumentsPlan
  /** What it selects of one type of object. @throws GraphQLError for a condition that has no value. */
  readonly below: (type: GraphQLObjectType) => ObjectPlan
}

/** Whether a leaf's value, neither null nor undefined, stands in the answer as it is. */
export type Keeps = (value: unknown) => boolean

export interface ArgumentsPlan {
  /** Whether they depend on variables. */
  readonly isConstant: boolean
  /** @throws GraphQLError for values that do not fit. */
  coerce(variables: Variables): Arguments
}

/**
 * Turns what a field resolved to into what stands in the answer, or a promise of that.
 * @param path undefined for a plain leaf.
 * @throws what stands in the way, such as an error among the values, or a null where none may be.
 */
export type Complete = (execution: Execution, field: FieldPlan, value: unknown, path: Path | undefined) => unknown

export type Variables = Readonly<Record<string, unknown>>
export type Arguments = Readonly<Record<string, unknown>>
export type Path = GraphQLResolveInfo['path']

/** One execution on its way. */
export interface Execution {
  readonly document: Document
  readonly context: Context
  readonly variables: Variables
  readonly args: Map<FieldPlan, Arguments>
  readonly errors: GraphQLError[]
  /** The places of the errors: what lies below them is no part of the answer any more. */
  readonly nulled: Set<Path | undefined>
  /** What the leaves of the answer weigh so far, in bytes, and what they may. */
  bytes: number
  readonly bytesMax: number
}

export type ExecutionOptions = Pick<Execution, 'document' | 'context' | 'variables' | 'bytesMax'>

export function createExecution(options: ExecutionOptions): Execution {
  return { ...options, args: new Map(), errors: [], nulled: new Set(), bytes: 0 }
}

/** The arguments of a field are the same for every object of one execution. */
export function argumentsOf({ args, variables }: Execution, field: FieldPlan): Arguments {
  if (field.arguments.isConstant) return field.arguments.coerce(variables)
  const known = args.get(field)
  if (known) return known
  const made = field.arguments.coerce(variables)
  args.set(field, made)
  return made
}

export function infoFor({ document, variables }: Execution, field: FieldPlan, path: Path): GraphQLResolveInfo {
  const { schema, operation, fragments } = document
  const { definition, nodes, parentType } = field
  return {
    fieldName: definition.name,
    fieldNodes: nodes,
    returnType: definition.type,
    parentType,
    path,
    schema,
    fragments,
    rootValue: undefined,
    operation,
    variableValues: variables,
  }
}

/** Where a value stands in the answer, and whether it may be null there. */
export interface Place {
  readonly field: FieldPlan
  readonly type: GraphQLOutputType
  readonly path: Path
}

/** What a failure leaves in its place. @throws GraphQLError where null may not stand: its parent takes it over. */
export function fail(execution: Execution, { field, type, path }: Place, thrown: unknown): null {
  const error = locatedError(thrown, field.nodes, keysOf(path))
  if (isNonNullType(type)) throw error
  addError(execution, error, path)
  return null
}

/** @param path undefined where nothing is left of the answer. */
export function addError({ errors, nulled }: Execution, error: GraphQLError, path: Path | undefined): void {
  if (nulled.has(undefined)) return
  for (let at = path; at; at = at.prev) if (nulled.has(at)) return
  nulled.add(path)
  errors.push(error)
}

function keysOf(path: Path): (string | number)[] {
  const keys: (string | number)[] = []
  for (let at: Path | undefined = path; at; at = at.prev) keys.push(at.key)
  return keys.reverse()
}

export function isPromise(value: unknown): value is Promise<unknown> {
  return value instanceof Promise
}
