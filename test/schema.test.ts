import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { describe, it } from 'node:test'
import { printSubgraphSchema } from '@apollo/subgraph'
import {
  type GraphQLNamedType,
  isEnumType,
  isInputObjectType,
  isInterfaceType,
  isIntrospectionType,
  isObjectType,
  isSpecifiedScalarType,
} from 'graphql'
import { ERRORS } from '../src/errors.ts'
import { schema } from '../src/graphql/schema.ts'

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

describe('the schema', () => {
  it('describes every type, field, argument, input field and enum', () => {
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
    }
    assert.deepEqual(silent, [])
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
    for (const name of ['Run', 'Step', 'Snapshot']) assert.ok(names.includes(`${name}Connection`), name)
    assert.equal(names.filter((name) => /^(Query|Run|Step|Snapshot).*Connection$/.test(name)).length, 3)
  })

  it('takes no place of storage from a client', () => {
    const inputs = ownTypes().filter(isInputObjectType)
    const names = inputs.flatMap((type) => Object.keys(type.getFields()))
    assert.ok(names.length > 20)
    for (const name of names) assert.doesNotMatch(name, /uri|path|bucket/i)
  })
})

function ownTypes(): GraphQLNamedType[] {
  const types = Object.values(schema.getTypeMap())
  return types.filter(
    (type) => !isIntrospectionType(type) && !isSpecifiedScalarType(type) && !FEDERATION.test(type.name),
  )
}
