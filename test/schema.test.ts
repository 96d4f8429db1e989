import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { describe, it } from 'node:test'
import { printSubgraphSchema } from '@apollo/subgraph'
import {
  buildClientSchema,
  buildSchema,
  type GraphQLNamedType,
  introspectionFromSchema,
  isEnumType,
  isInputObjectType,
  isInterfaceType,
  isIntrospectionType,
  isNonNullType,
  isObjectType,
  isScalarType,
  isSpecifiedScalarType,
  printType as printOne,
  printSchema,
} from 'graphql'
import { ERRORS } from '../src/errors.ts'
import { createClientSchema, schema } from '../src/graphql/schema.ts'

const FILE = new URL('../schema.graphql', import.meta.url)

/** What the federation specification adds: its words are its own. */
const FEDERATION = /^(_Any|_Entity|_Service|FieldSet|link__.*|federation__.*|_.*)$/

describe('schema.graphql', () => {
  it('is what the code says', async () => {
    const text = await readFile(FILE, 'utf8')
    const [first, ...rest] = text.split('\n')
    assert.match(first ?? '', /^# .*npm run codegen/)
    assert.equal(rest.join('\n').trim(), printSubgraphSchema(schema).trim(), 'run npm run codegen')
  })

  it('has the keys that other subgraphs refer by', async () => {
    const text = await readFile(FILE, 'utf8')
    for (const [type, keys] of [
      ['Run', ['id', 'runId']],
      ['Step', ['id', 'runId stepId']],
      ['Snapshot', ['id', 'snapshotId']],
    ] as const) {
      const head = new RegExp(`^type ${type} [^{]*`, 'm').exec(text)?.[0] ?? ''
      for (const key of keys) assert.ok(head.includes(`@key(fields: "${key}")`), `${type} ${key}`)
    }
  })
})

describe('schema.client.graphql', () => {
  it('is what the code says, and what a client learns by asking', async () => {
    const text = await readFile(new URL('../schema.client.graphql', import.meta.url), 'utf8')
    const [first, ...rest] = text.split('\n')
    assert.match(first ?? '', /^# .*npm run codegen/)
    assert.equal(rest.join('\n').trim(), printSchema(createClientSchema()).trim(), 'run npm run codegen')
    const read = buildSchema(text)
    const asked = buildClientSchema(introspectionFromSchema(schema))
    const namesOf = (made: typeof schema) =>
      Object.keys(made.getTypeMap()).filter((name) => !FEDERATION.test(name) || name.startsWith('__'))
    assert.deepEqual(namesOf(read).sort(), namesOf(asked).sort())
    for (const name of namesOf(read).filter((type) => !['Query', 'Mutation'].includes(type))) {
      assert.equal(printType(read, name), printType(asked, name))
    }
    assert.equal(read.description, asked.description)
    assert.ok(read.description)
  })

  it('knows nothing of federation', () => {
    const made = createClientSchema()
    assert.deepEqual(
      Object.keys(made.getTypeMap()).filter((name) => FEDERATION.test(name) && !name.startsWith('__')),
      [],
    )
    const fields = Object.keys(made.getQueryType()?.getFields() ?? {})
    assert.deepEqual(
      fields.filter((name) => name.startsWith('_')),
      [],
    )
  })
})

describe('the schema', () => {
  it('describes every type, field, argument, input field and value, and says where each scalar is specified', () => {
    const silent: string[] = []
    const check = (place: string, { description }: { readonly description?: string | null }) => {
      if (!description?.trim()) silent.push(place)
    }
    for (const type of ownTypes()) {
      check(type.name, type)
      if (isObjectType(type) || isInterfaceType(type)) {
        for (const field of Object.values(type.getFields()).filter(({ name }) => !FEDERATION.test(name))) {
          check(`${type.name}.${field.name}`, field)
          for (const arg of field.args) check(`${type.name}.${field.name}(${arg.name})`, arg)
        }
      }
      if (isInputObjectType(type)) {
        for (const field of Object.values(type.getFields())) check(`${type.name}.${field.name}`, field)
      }
      if (isEnumType(type)) for (const value of type.getValues()) check(`${type.name}.${value.name}`, value)
      if (isScalarType(type) && !type.specifiedByURL) silent.push(`${type.name} is specified nowhere`)
    }
    assert.deepEqual(silent, [])
  })

  it('lets every argument that has a default be null', () => {
    const arguments_ = ownTypes()
      .filter((type) => isObjectType(type) || isInputObjectType(type))
      .flatMap((type) =>
        Object.values(type.getFields()).flatMap((field) => [field, ...('args' in field ? field.args : [])]),
      )
      .filter((argument) => 'defaultValue' in argument && argument.defaultValue !== undefined)
    assert.ok(arguments_.length > 8)
    for (const { name, type } of arguments_) assert.ok(!isNonNullType(type), name)
  })

  it('speaks of no error code that there is not', async () => {
    const text = await readFile(FILE, 'utf8')
    const enums = ownTypes()
      .filter(isEnumType)
      .flatMap((type) => type.getValues().map(({ name }) => name))
    for (const [word] of text.matchAll(/\b[A-Z]+(?:_[A-Z]+)+\b/g)) {
      assert.ok(word in ERRORS || enums.includes(word), word)
    }
  })

  it('has one kind of connection for each kind of thing', () => {
    const names = ownTypes().map(({ name }) => name)
    const things = ['Run', 'Step', 'Snapshot', 'StepComparison']
    for (const name of things) assert.ok(names.includes(`${name}Connection`), name)
    assert.equal(names.filter((name) => /^(Query|Run|Step|Snapshot).*Connection$/.test(name)).length, things.length)
  })

  it('takes no place of storage from a client', () => {
    const inputs = ownTypes().filter(isInputObjectType)
    const names = inputs.flatMap((type) => Object.keys(type.getFields()))
    assert.ok(names.length > 20)
    for (const name of names) assert.doesNotMatch(name, /uri|path|bucket/i)
  })
})

function printType(made: typeof schema, name: string): string {
  const type = made.getType(name)
  return type ? printOne(type) : ''
}

function ownTypes(): GraphQLNamedType[] {
  const types = Object.values(schema.getTypeMap())
  return types.filter(
    (type) => !isIntrospectionType(type) && !isSpecifiedScalarType(type) && !FEDERATION.test(type.name),
  )
}
