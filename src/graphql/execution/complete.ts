import {
  defaultTypeResolver,
  type GraphQLAbstractType,
  type GraphQLList,
  type GraphQLObjectType,
  type GraphQLOutputType,
  isAbstractType,
  isLeafType,
  isListType,
  isNonNullType,
  isObjectType,
} from 'graphql'
import {
  type Complete,
  type Execution,
  type FieldPlan,
  fail,
  infoFor,
  isPromise,
  type ObjectPlan,
  type Path,
} from './execution.ts'
import { createLeaf } from './leaves.ts'

export function createComplete(type: GraphQLOutputType): Complete {
  const isNonNull = isNonNullType(type)
  const complete = createOfKind(isNonNull ? type.ofType : type)
  return (execution, field, value, path) => {
    if (value === null || value === undefined) {
      if (isNonNull) throw new Error(`Cannot return null for non-nullable field ${nameOf(field)}.`)
      return null
    }
    if (value instanceof Error) throw value
    // Never null from here on.
    return complete(execution, field, value, path)
  }
}

function nameOf({ parentType, definition }: FieldPlan): string {
  return `${parentType.name}.${definition.name}`
}

function createOfKind(type: GraphQLOutputType): Complete {
  if (isLeafType(type)) return createLeaf(type)
  if (isListType(type)) return createList(type)
  if (isObjectType(type)) return createObject(type)
  if (isAbstractType(type)) return createAbstract(type)
  throw new Error(`There are no fields of the type ${type}.`)
}

function createList({ ofType: type }: GraphQLList<GraphQLOutputType>): Complete {
  const complete = createComplete(type)

  function completeItem(execution: Execution, field: FieldPlan, item: unknown, path: Path): unknown {
    try {
      const completed = isPromise(item)
        ? item.then((resolved) => complete(execution, field, resolved, path))
        : complete(execution, field, item, path)
      if (!isPromise(completed)) return completed
      return completed.then(undefined, (error) => fail(execution, { field, type, path }, error))
    } catch (error) {
      return fail(execution, { field, type, path }, error)
    }
  }

  return (execution, field, value, path) => {
    if (!Array.isArray(value)) throw new Error(`Expected a list for field ${nameOf(field)}.`)
    const items: unknown[] = []
    let isPending = false
    try {
      for (const item of value) {
        const itemPath: Path = { prev: path, key: items.length, typename: undefined }
        const completed = completeItem(execution, field, item, itemPath)
        items.push(completed)
        isPending ||= isPromise(completed)
      }
    } catch (error) {
      // Nobody waits for the others any more, and one that fails as well would end the process.
      for (const item of items) if (isPromise(item)) item.catch(() => {})
      throw error
    }
    return isPending ? Promise.all(items) : items
  }
}

function createObject(type: GraphQLObjectType): Complete {
  if (type.isTypeOf)
    return (execution, field, value, path) => completeObject(execution, { field, type }, value, path as Path)
  let plan: ObjectPlan | undefined
  return (execution, field, value, path) => {
    plan ??= field.below(type)
    return plan.execute(execution, value as object, path)
  }
}

function createAbstract(type: GraphQLAbstractType): Complete {
  const resolveType = type.resolveType ?? defaultTypeResolver
  return (execution, field, value, path) => {
    const { schema } = execution.document
    const complete = (name: unknown) => {
      const runtimeType = typeof name === 'string' ? schema.getType(name) : undefined
      if (!isObjectType(runtimeType) || !schema.isSubType(type, runtimeType)) {
        throw new Error(`What field ${nameOf(field)} resolved to is no ${type.name}.`)
      }
      return completeObject(execution, { field, type: runtimeType }, value, path as Path)
    }
    const name = resolveType(value, execution.context, infoFor(execution, field, path as Path), type)
    return isPromise(name) ? name.then(complete) : complete(name)
  }
}

interface Expected {
  readonly field: FieldPlan
  readonly type: GraphQLObjectType
}

function completeObject(execution: Execution, { field, type }: Expected, value: unknown, path: Path): unknown {
  const plan = field.below(type)
  if (!type.isTypeOf) return plan.execute(execution, value as object, path)
  const complete = (isOfType: boolean) => {
    if (!isOfType) throw new Error(`What field ${nameOf(field)} resolved to is no ${type.name}.`)
    return plan.execute(execution, value as object, path)
  }
  const isOfType = type.isTypeOf(value, execution.context, infoFor(execution, field, path))
  return isPromise(isOfType) ? isOfType.then(complete as never) : complete(isOfType as boolean)
}
