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

/** The object whose fields are resolved. */
export interface Parent {
  readonly execution: Execution
  readonly source: object
  /** Undefined at the root. */
  readonly path: Path | undefined
}

export const ROOT: object = Object.freeze({})

/** Resolves the fields of the root one after the other: each sees what the one before it has changed. */
export function executeSerially({ fields }: ObjectPlan, execution: Execution): object | Promise<object> {
  const parent: Parent = { execution, source: ROOT, path: undefined }
  const values: [string, unknown][] = []
  const next = (field: FieldPlan) => {
    const value = field.isPlainLeaf ? executeLeaf(parent, field, undefined) : executeField(parent, field, undefined)
    if (!isPromise(value)) return void values.push([field.key, value])
    return value.then((resolved) => void values.push([field.key, resolved]))
  }
  let last: unknown
  for (const field of fields) last = isPromise(last) ? last.then(() => next(field)) : next(field)
  return isPromise(last) ? last.then(() => Object.fromEntries(values)) : Object.fromEntries(values)
}

/** @param value what the parent holds under the name of the field, where it has no resolver. */
export function executeField(parent: Parent, field: FieldPlan, value: unknown): unknown {
  const { execution } = parent
  const { definition, complete } = field
  const path = placeOf(parent, field)
  try {
    const result = definition.resolve || typeof value === 'function' ? resolve(parent, field, path) : value
    const completed = isPromise(result)
      ? result.then((resolved) => complete(execution, field, resolved, path))
      : complete(execution, field, result, path)
    if (!isPromise(completed)) return completed
    return completed.then(undefined, (error) => fail(execution, { field, type: definition.type, path }, error))
  } catch (error) {
    return fail(execution, { field, type: definition.type, path }, error)
  }
}

function resolve({ execution, source }: Parent, field: FieldPlan, path: Path): unknown {
  const { resolve: by = defaultFieldResolver } = field.definition
  return by(source, argumentsOf(execution, field), execution.context, infoFor(execution, field, path))
}

/** For a plain leaf: nothing is made that it does not need. */
export function executeLeaf(parent: Parent, field: FieldPlan, value: unknown): unknown {
  try {
    return field.complete(parent.execution, field, value, undefined)
  } catch (error) {
    const path = placeOf(parent, field)
    return fail(parent.execution, { field, type: field.definition.type, path }, error)
  }
}

function placeOf({ path }: Parent, { key, parentType }: FieldPlan): Path {
  return { prev: path, key, typename: parentType.name }
}
