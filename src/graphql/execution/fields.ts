import { defaultFieldResolver } from 'graphql'
import {
  argumentsOf,
  type Execution,
  type FieldPlan,
  fail,
  infoFor,
  isPromise,
  type ObjectPlan,
  type Path,
} from './execution.ts'

/**
 * Resolves the fields of one object at once, as graphql-js does, to the order of what happens.
 * @throws the first failure of a field that may not be null, when all is known at once; otherwise the promise rejects with it.
 */
export function executeFields(
  execution: Execution,
  { fields, build }: ObjectPlan,
  source: unknown,
  path: Path | undefined,
): object | Promise<object> {
  const values: unknown[] = []
  let isPending = false
  try {
    for (const field of fields) {
      const value = executeField(execution, field, source, path)
      values.push(value)
      isPending ||= isPromise(value)
    }
  } catch (error) {
    if (!isPending) throw error
    // Those that are under way are waited for: nobody else would hear of their failures.
    return Promise.all(values)
      .then(build)
      .finally(() => {
        throw error
      })
  }
  return isPending ? Promise.all(values).then(build) : build(values)
}

/** Resolves one field after the other: each sees what the one before it has changed. */
export function executeSerially(execution: Execution, { fields, build }: ObjectPlan): object | Promise<object> {
  const values: unknown[] = []
  const next = (field: FieldPlan) => {
    const value = executeField(execution, field, undefined, undefined)
    if (!isPromise(value)) return void values.push(value)
    return value.then((resolved) => void values.push(resolved))
  }
  let last: unknown
  for (const field of fields) last = isPromise(last) ? last.then(() => next(field)) : next(field)
  return isPromise(last) ? last.then(() => build(values)) : build(values)
}

function executeField(execution: Execution, field: FieldPlan, source: unknown, parent: Path | undefined): unknown {
  if (field.isPlainLeaf) return executePlainLeaf(execution, field, source, parent)
  const { definition, complete } = field
  const path: Path = { prev: parent, key: field.key, typename: field.parentType.name }
  try {
    const result = resolve(execution, field, source, path)
    const completed = isPromise(result)
      ? result.then((resolved) => complete(execution, field, resolved, path))
      : complete(execution, field, result, path)
    if (!isPromise(completed)) return completed
    return completed.then(undefined, (error) => fail(execution, { field, type: definition.type, path }, error))
  } catch (error) {
    return fail(execution, { field, type: definition.type, path }, error)
  }
}

function resolve(execution: Execution, field: FieldPlan, source: unknown, path: Path): unknown {
  const { definition } = field
  if (!definition.resolve) {
    const value = propertyOf(source, definition.name)
    if (typeof value !== 'function') return value
  }
  const { resolve: by = defaultFieldResolver } = definition
  return by(source, argumentsOf(execution, field), execution.context, infoFor(execution, field, path))
}

/** Most of an answer is made of these, so nothing is made for them that they do not need. */
function executePlainLeaf(execution: Execution, field: FieldPlan, source: unknown, parent: Path | undefined): unknown {
  const { complete, definition } = field
  try {
    return complete(execution, field, propertyOf(source, definition.name), undefined)
  } catch (error) {
    const path: Path = { prev: parent, key: field.key, typename: field.parentType.name }
    return fail(execution, { field, type: definition.type, path }, error)
  }
}

function propertyOf(source: unknown, name: string): unknown {
  return typeof source === 'object' && source !== null ? (source as Record<string, unknown>)[name] : undefined
}
