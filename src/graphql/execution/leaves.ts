import {
  GraphQLBoolean,
  type GraphQLEnumType,
  GraphQLFloat,
  GraphQLID,
  GraphQLInt,
  type GraphQLLeafType,
  GraphQLString,
  isEnumType,
} from 'graphql'
import { isLazy, isRawJson } from '../raw-json.ts'
import type { Complete, Execution, Keeps } from './execution.ts'

/** What graphql's own types leave as it is; for all else they are asked. */
const AS_IT_IS = new Map<GraphQLLeafType, Keeps>([
  [GraphQLString, (value) => typeof value === 'string'],
  [GraphQLID, (value) => typeof value === 'string'],
  [GraphQLBoolean, (value) => typeof value === 'boolean'],
  [GraphQLFloat, Number.isFinite],
  [GraphQLInt, (value) => typeof value === 'number' && (value | 0) === value],
])

/** What a type leaves as it is. One that is not graphql's says so itself, by its extension `keeps`. */
export function keepsOf(type: GraphQLLeafType): Keeps | undefined {
  if (!isEnumType(type)) return AS_IT_IS.get(type) ?? (type.extensions['keeps'] as Keeps | undefined)
  const names = new Set(type.getValues().flatMap(({ name, value }) => (name === value ? [value] : [])))
  return (value) => names.has(value)
}

export function createLeaf(type: GraphQLLeafType): Complete {
  const serialize = isEnumType(type) ? createEnum(type) : createScalar(type)
  return (execution, _field, value) => {
    const serialized = serialize(value)
    if (serialized === null || serialized === undefined) throw new Error(`${type.name} serialized a value to null.`)
    weigh(execution, bytesOf(serialized))
    return serialized
  }
}

/** Counts what a leaf adds to the answer. @throws Error when that is too much: the whole answer is refused for it in the end. */
export function weigh(execution: Execution, bytes: number): void {
  execution.bytes += bytes
  if (execution.bytes > execution.bytesMax) throw new Error('The answer is too large.')
}

function createScalar(type: GraphQLLeafType): (value: unknown) => unknown {
  const isAsItIs = AS_IT_IS.get(type)
  if (!isAsItIs) return (value) => type.serialize(value)
  return (value) => (isAsItIs(value) ? value : type.serialize(value))
}

function createEnum(type: GraphQLEnumType): (value: unknown) => unknown {
  const names = new Map(type.getValues().map(({ name, value }) => [value, name]))
  return (value) => names.get(value) ?? type.serialize(value)
}

/** Nearly; what is streamed adds nothing. */
function bytesOf(leaf: unknown): number {
  if (typeof leaf === 'string') return leaf.length
  return isRawJson(leaf) && !isLazy(leaf.source) ? leaf.source.length : 0
}
