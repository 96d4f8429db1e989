import {
  type GraphQLField,
  type GraphQLInputType,
  type GraphQLNamedType,
  type GraphQLOutputType,
  getNamedType,
  getNullableType,
  isAbstractType,
  isEnumType,
  isInputObjectType,
  isLeafType,
  isListType,
  isNonNullType,
  isObjectType,
  parse,
  specifiedRules,
  validate,
} from 'graphql'
import { createLimitsRule, DEFAULT_LIMITS } from '../../src/graphql/limits.ts'
import { schema } from '../../src/graphql/schema.ts'
import { createRandom } from './random.ts'

/** What random operations are made of; each class is a fault of its own that executors had. */
export const CLASSES = {
  plain: { directives: false, fragments: 'none' },
  directives: { directives: true, fragments: 'none' },
  fragments: { directives: false, fragments: 'all' },
  'inline fragments and directives': { directives: true, fragments: 'inline' },
  'fragments and directives': { directives: true, fragments: 'all' },
} as const satisfies Record<string, OperationClass>

interface OperationClass {
  readonly directives: boolean
  readonly fragments: 'none' | 'inline' | 'all'
}

export interface RandomOperation {
  readonly query: string
  readonly operationName: string | undefined
  /** Four sets, some of which do not fit. */
  readonly variableSets: readonly Readonly<Record<string, unknown>>[]
}

/** Texts and values that mean something to the store that is asked. */
export interface RandomWords {
  readonly runIds: readonly string[]
  readonly stepIds: readonly string[]
  readonly snapshotIds: readonly string[]
  readonly globalIds: readonly string[]
  readonly cursors: readonly string[]
}

const RULES = [...specifiedRules, createLimitsRule(DEFAULT_LIMITS)]

/** A valid operation of the schema, and variables for it. */
export function randomOperation(seed: number, kind: keyof typeof CLASSES, words: RandomWords): RandomOperation {
  for (let attempt = 0; ; attempt++) {
    const random = createRandom(seed * 1000 + attempt)
    const made = createDocument(random, CLASSES[kind], words)
    if (
      Buffer.byteLength(made.query) < DEFAULT_LIMITS.queryBytes &&
      validate(schema, parse(made.query), RULES).length === 0
    )
      return made
    if (attempt === 200) throw new Error(`no valid operation for seed ${seed} of ${kind}`)
  }
}

const DEPTH = 5
const ODD_ALIASES = [
  '__proto__',
  'constructor',
  'toString',
  'hasOwnProperty',
  'then',
  'length',
  'a',
  'b',
  'data',
  'errors',
]
/** Too large, or of no use here; verifying is done by hand, for it writes. */
const LEFT_OUT = new Set(['_service', '__schema'])
/** Most of their values make an error of a whole list. */
const RARE = new Set(['after', 'before', 'last'])

interface Variable {
  readonly type: GraphQLInputType
  readonly text: string
}

function createDocument(
  random: () => number,
  { directives, fragments }: OperationClass,
  words: RandomWords,
): RandomOperation {
  const below = (limit: number) => Math.floor(random() * limit)
  const chance = (share: number) => random() < share
  const oneOf = <T>(values: readonly T[]): T => values[below(values.length)] as T

  const aliases = new Map<string, string>()
  const named: { readonly name: string; readonly type: GraphQLNamedType; readonly text: string }[] = []
  let variables = new Map<string, Variable>()

  function selection(type: GraphQLNamedType, depth: number): string {
    const parts = Array.from({ length: 1 + below(depth === DEPTH ? 3 : 5) }, () => part(type, depth))
    // What has no field of its own must not be empty.
    return `{ ${parts.join(' ')} ${chance(0.3) || isAbstractType(type) ? '__typename' : ''} }`
  }

  function part(type: GraphQLNamedType, depth: number): string {
    if (fragments === 'none' || depth === 0) return field(type, depth)
    const kind = random()
    if (kind < 0.55 && !(isAbstractType(type) && kind > 0.1)) return field(type, depth)
    const on = oneOf(conditionsFor(type))
    if (fragments === 'inline' || kind < 0.75) {
      const typed = on === type && chance(0.5) ? '' : ` on ${on.name}`
      return `...${typed}${conditions()} ${selection(on, depth - 1)}`
    }
    return `...${spread(on, depth)}${conditions()}`
  }

  function spread(type: GraphQLNamedType, depth: number): string {
    const known = named.filter((fragment) => fragment.type === type)
    if (known.length > 0 && chance(0.6)) return oneOf(known).name
    // Named when it is complete, so that it cannot hold itself.
    const text = selection(type, depth - 1)
    const name = `F${named.length}`
    named.push({ name, type, text })
    return name
  }

  function conditionsFor(type: GraphQLNamedType): GraphQLNamedType[] {
    const objects = isAbstractType(type) ? schema.getPossibleTypes(type) : []
    const node = isObjectType(type) ? type.getInterfaces() : []
    return [type, ...objects, ...objects, ...node]
  }

  function field(type: GraphQLNamedType, depth: number): string {
    const all = 'getFields' in type ? (Object.values(type.getFields()) as GraphQLField<unknown, unknown>[]) : []
    const fit = all.filter(({ name, type: of }) => !LEFT_OUT.has(name) && (depth > 0 || isLeafType(getNamedType(of))))
    if (fit.length === 0 || chance(0.08)) return `${alias('__typename', '')}__typename${conditions()}`
    const { name, args, type: of } = oneOf(fit)
    const given = args.flatMap((arg) => {
      const isRequired = isNonNullType(arg.type) && arg.defaultValue === undefined
      if (!isRequired && chance(RARE.has(arg.name) ? 0.93 : 0.6)) return []
      return `${arg.name}: ${value(arg.type, arg.name, isRequired)}`
    })
    const text = `${name}${given.length > 0 ? `(${given.join(', ')})` : ''}`
    const head = `${alias(name, text)}${text}${conditions()}`
    return isLeafType(getNamedType(of)) ? head : `${head} ${selection(getNamedType(of), depth - 1)}`
  }

  /** One alias always stands for the same, so that what is merged can be. */
  function alias(name: string, text: string): string {
    const known = [...aliases].filter(([, meaning]) => meaning === (text || name)).map(([key]) => key)
    if (known.length > 0 && chance(0.5)) return `${oneOf(known)}: `
    if (text === name && chance(0.75)) return ''
    const key = chance(0.4) ? oneOf(ODD_ALIASES) : `x${aliases.size}`
    if (aliases.has(key)) return text === name ? '' : alias(name, text)
    aliases.set(key, text || name)
    return `${key}: `
  }

  function conditions(): string {
    if (!directives || chance(0.72)) return ''
    const one = (name: string) =>
      `@${name}(if: ${chance(0.3) ? String(chance(0.5)) : variable(schema.getType('Boolean') as GraphQLInputType, true)})`
    const order = chance(0.5) ? ['skip', 'include'] : ['include', 'skip']
    return ` ${chance(0.2) ? order.map(one).join(' ') : one(order[0] as string)}`
  }

  function variable(type: GraphQLInputType, isRequired: boolean): string {
    const nullable = getNullableType(type) as GraphQLInputType
    const known = [...variables].filter(([, of]) => String(getNullableType(of.type)) === String(nullable))
    if (known.length > 0 && chance(0.6)) return `$${oneOf(known)[0]}`
    const name = `v${variables.size}`
    const fallback = chance(0.3) ? ` = ${literal(nullable, '', false)}` : ''
    const bang = fallback === '' ? isRequired || chance(0.2) : chance(0.2)
    const text = `$${name}: ${nullable}${bang ? '!' : ''}${fallback}`
    variables.set(name, { type: nullable, text })
    return `$${name}`
  }

  function value(type: GraphQLInputType, name: string, isRequired: boolean): string {
    return chance(0.3) ? variable(type, isRequired) : literal(type, name, true)
  }

  function literal(type: GraphQLInputType, name: string, mayHoldVariables: boolean): string {
    if (!isNonNullType(type) && chance(0.06)) return 'null'
    const of = getNullableType(type) as GraphQLInputType
    const inner = (innerType: GraphQLInputType, innerName: string) =>
      mayHoldVariables ? value(innerType, innerName, isNonNullType(innerType)) : literal(innerType, innerName, false)
    if (isListType(of)) {
      if (chance(0.2)) return literal(of.ofType, name, mayHoldVariables)
      return `[${Array.from({ length: below(4) }, () => inner(of.ofType, name)).join(', ')}]`
    }
    if (isInputObjectType(of)) {
      const fields = Object.values(of.getFields()).filter((one) => isNonNullType(one.type) || chance(0.3))
      return `{ ${fields.map((one) => `${one.name}: ${inner(one.type, one.name)}`).join(', ')} }`
    }
    const plain = leaf(of, name)
    if (isEnumType(of)) return String(plain)
    return typeof plain === 'object' ? toLiteral(plain ?? {}) : JSON.stringify(plain)
  }

  function leaf(type: GraphQLInputType, name: string): unknown {
    if (isEnumType(type)) return oneOf(type.getValues()).name
    switch (String(type)) {
      case 'Boolean':
        return chance(0.5)
      case 'Int':
        return name === 'expiresIn'
          ? oneOf([0, 60, 3600])
          : oneOf([0, 1, 1, 2, 2, 2, 3, 3, 4, 4, 5, 5, 100, chance(0.2) ? 101 : 3, chance(0.2) ? -1 : 2])
      case 'BigInt':
        return oneOf([0, 1, 2, 5, 1000])
      case 'DateTime':
        return oneOf(['2020-01-01T00:00:00Z', '2099-01-01T00:00:00+02:00'])
      case 'JSONPointer':
        return oneOf(['', '', '/text', '/index', '/none', '/a/0'])
      case '_Any':
        return reference()
      default:
        return text(name)
    }
  }

  function text(name: string): string {
    if (name === 'stepId') return oneOf(words.stepIds)
    if (name === 'snapshotId') return oneOf(words.snapshotIds)
    if (name === 'id' || name === 'ids') return oneOf(words.globalIds)
    if (name === 'after' || name === 'before') return oneOf(words.cursors)
    return oneOf(words.runIds)
  }

  function reference(): object {
    return oneOf<() => object>([
      () => ({ __typename: 'Run', runId: text('runId') }),
      () => ({ __typename: 'Step', runId: text('runId'), stepId: text('stepId') }),
      () => ({ __typename: 'Snapshot', snapshotId: text('snapshotId') }),
      () => ({ __typename: oneOf(['Run', 'Step', 'Snapshot', 'Tag', 'None']), id: text('id') }),
    ])()
  }

  function variablesFor(all: ReadonlyMap<string, Variable>): Record<string, unknown> {
    const given = [...all].flatMap(([name, { type, text: declared }]): [string, unknown][] => {
      const isRequired = declared.endsWith('!')
      if (chance(isRequired ? 0.02 : 0.25)) return []
      return [[name, chance(isRequired ? 0.02 : 0.15) ? null : input(type)]]
    })
    return Object.fromEntries(given)
  }

  function input(type: GraphQLInputType): unknown {
    if (chance(0.02)) return oneOf<unknown>(['?', 1.5, -1, true, [], {}, [[1]], { unknown: 1 }])
    const of = getNullableType(type) as GraphQLInputType
    if (isListType(of)) return chance(0.2) ? input(of.ofType) : Array.from({ length: below(4) }, () => input(of.ofType))
    if (!isInputObjectType(of)) return leaf(of, oneOf(['runId', 'stepId', 'id', 'snapshotId', 'after']))
    const fields = Object.values(of.getFields()).filter((one) => isNonNullType(one.type) || chance(0.3))
    return Object.fromEntries(
      fields.map((one) => [one.name, isEnumType(one.type) ? leaf(one.type, '') : input(one.type)]),
    )
  }

  const query = schema.getQueryType() as GraphQLOutputType & GraphQLNamedType
  const count = chance(0.15) ? 2 : 1
  const operations = Array.from({ length: count }, (_, index) => {
    variables = new Map()
    const body = selection(query, DEPTH)
    return { name: count === 1 && chance(0.5) ? '' : `Q${index}`, body, variables }
  })
  const chosen = oneOf(operations)
  const head = ({ name, variables: of }: (typeof operations)[number]) =>
    `query ${name}${of.size > 0 ? `(${[...of.values()].map((one) => one.text).join(', ')})` : ''}`
  return {
    query: [
      ...operations.map((one) => `${head(one)} ${one.body}`),
      ...named.map(({ name, type, text: body }) => `fragment ${name} on ${type.name} ${body}`),
    ].join('\n'),
    operationName: chosen.name || undefined,
    variableSets: Array.from({ length: 4 }, () => variablesFor(chosen.variables)),
  }
}

function toLiteral(value: object): string {
  return `{ ${Object.entries(value)
    .map(([name, part]) => `${name}: ${JSON.stringify(part)}`)
    .join(', ')} }`
}
