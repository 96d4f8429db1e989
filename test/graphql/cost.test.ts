import assert from 'node:assert/strict'
import { it } from 'node:test'
import { getNamedType, getNullableType, isIntrospectionType, isListType, isObjectType } from 'graphql'
import { costOf } from '../../src/graphql/cost.ts'
import { schema } from '../../src/graphql/schema.ts'

it('every list of the schema says how long it may be, and every connection how long its pages are', () => {
  const silent: string[] = []
  let lists = 0
  for (const type of Object.values(schema.getTypeMap())) {
    if (!isObjectType(type) || isIntrospectionType(type)) continue
    for (const field of Object.values(type.getFields())) {
      const isConnection = getNamedType(field.type).name.endsWith('Connection')
      const isList = isListType(getNullableType(field.type))
      const { items, page } = costOf(field) ?? {}
      if (isList || isConnection) lists++
      if ((isList && items === undefined) || (isConnection && page === undefined))
        silent.push(`${type.name}.${field.name}`)
      // Where there is no connection above it, a page has no length.
      if (items === 'page') assert.match(type.name, /Connection$/)
    }
  }
  assert.deepEqual(silent, [])
  assert.ok(lists > 10)
})
