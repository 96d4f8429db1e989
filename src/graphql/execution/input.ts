import {
  GraphQLBoolean,
  GraphQLFloat,
  GraphQLID,
  type GraphQLInputObjectType,
  type GraphQLInputType,
  GraphQLInt,
  type GraphQLLeafType,
  GraphQLString,
  isEnumType,
  isInputObjectType,
  isListType,
  isNonNullType,
} from 'graphql'
import { isAppError } from '../../errors.ts'
import { jsonText } from '../json-text.ts'

/** What is wrong with a part of a value, in words that hold nothing of it. */
export interface Problem {
  /** From the variable on. */
  readonly path: readonly (string | number)[]
  readonly message: string
}

/** Coerces a value as graphql-js does. What comes back counts only where no problem was added. */
export type Coerce = (value: unknown, at: At) => unknown

export interface At {
  readonly path: readonly (string | number)[]
  readonly problems: Problem[]
  /** Text of the value at a path, where somebody kept it. */
  readonly textAt?: ((path: At['path']) => string | undefined) | undefined
}

/** Enough to mend a request by: what comes after them is not even looked at. */
export const PROBLEMS_MAX = 10

export function createCoerce(type: GraphQLInputType): Coerce {
  if (isNonNullType(type)) {
    const coerce = createCoerce(type.ofType)
    return (value, at) => (value === null || value === undefined ? refuse(at, `${type} expected`) : coerce(value, at))
  }
  const coerce = createOfKind(type)
  return (value, at) => (value === null || value === undefined ? null : coerce(value, at))
}

function refuse({ path, problems }: At, message: string): undefined {
  if (problems.length < PROBLEMS_MAX) problems.push({ path, message })
}

function createOfKind(type: GraphQLInputType): Coerce {
  if (isListType(type)) return createList(createCoerce(type.ofType))
  return isInputObjectType(type) ? createObject(type) : createLeaf(type as GraphQLLeafType)
}

function createList(coerce: Coerce): Coerce {
  return (value, at) => {
    if (!Array.isArray(value)) return [coerce(value, at)]
    const { path, problems } = at
    const items: unknown[] = []
    for (const item of value) {
      if (problems.length === PROBLEMS_MAX) break
      items.push(coerce(item, { ...at, path: [...path, items.length] }))
    }
    return items
  }
}

function createObject(type: GraphQLInputObjectType): Coerce {
  // A type may hold itself, so its fields are looked at when they are needed.
  let known: ReadonlyMap<string, Coerce> | undefined
  return (value, at) => {
    if (typeof value !== 'object' || value === null || Array.isArray(value)) return refuse(at, `${type.name} expected`)
    const fields = type.getFields()
    known ??= new Map(Object.values(fields).map((field) => [field.name, createCoerce(field.type)]))
    const given = value as Readonly<Record<string, unknown>>
    const coerced: Record<string, unknown> = {}
    for (const [name, coerce] of known) {
      const { defaultValue, type: fieldType } = fields[name] as { defaultValue: unknown; type: GraphQLInputType }
      if (given[name] !== undefined) {
        coerced[name] = coerce(given[name], { ...at, path: [...at.path, name] })
      } else if (defaultValue !== undefined) coerced[name] = defaultValue
      else if (isNonNullType(fieldType)) refuse(at, `${name} is required`)
    }
    if (Object.keys(given).some((name) => !known?.has(name))) refuse(at, `a field that ${type.name} does not have`)
    if (type.isOneOf) requireOne(coerced, at)
    return coerced
  }
}

function requireOne(coerced: Readonly<Record<string, unknown>>, at: At): void {
  const values = Object.values(coerced)
  if (values.length !== 1 || values[0] === null) refuse(at, 'exactly one field expected')
}

/** graphql's own types: undefined for what does not fit. Asked themselves they would tell the value. */
const OWN = new Map<GraphQLInputType, (value: unknown) => unknown>([
  [GraphQLString, (value) => (typeof value === 'string' ? value : undefined)],
  [GraphQLBoolean, (value) => (typeof value === 'boolean' ? value : undefined)],
  [GraphQLFloat, (value) => (Number.isFinite(value) ? value : undefined)],
  [GraphQLInt, (value) => (typeof value === 'number' && (value | 0) === value ? value : undefined)],
  [GraphQLID, (value) => (Number.isInteger(value) ? String(value) : typeof value === 'string' ? value : undefined)],
])

function createLeaf(type: GraphQLLeafType): Coerce {
  const own = OWN.get(type)
  const isJson = type.name === 'JSON'
  const parse = (value: unknown, at: At) => {
    if (own) return own(value)
    const text = isJson ? at.textAt?.(at.path) : undefined
    if (text !== undefined) return jsonText(text)
    if (!isEnumType(type)) return type.parseValue(value)
    return typeof value === 'string' ? type.getValue(value)?.value : undefined
  }
  return (value, at) => {
    try {
      const parsed = parse(value, at)
      return parsed === undefined ? refuse(at, `${type.name} expected`) : parsed
    } catch (error) {
      // Our own types tell what they take, and never what they got.
      return refuse(at, isAppError(error) ? error.message : `${type.name} expected`)
    }
  }
}
