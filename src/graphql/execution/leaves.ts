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
import type { Complete, Execution } from './execution.ts'

/** What graphql's own types leave as it is; for all else they are asked. */
const AS_IT_IS = new Map<GraphQLLeafType, (value: unknown) => boolean>([
  [GraphQLString, (value) => typeof value === 'string'],
  [GraphQLID, (value) => typeof value === 'string'],
  [GraphQLBoolean, (value) => typeof value === 'boolean'],
  [GraphQLFloat, Number.isFinite],
  [GraphQLInt, (value) => typeof value === 'number' && (value | 0) === value],
])

/** Whether a text of this type stands in the answer as it is. */
export function takesTexts(type: GraphQLLeafType): boolean {
  return AS_IT_IS.get(type)?.('') === true
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
