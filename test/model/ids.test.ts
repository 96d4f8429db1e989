import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import {
  decodeGlobalId,
  decodeStepKey,
  encodeGlobalId,
  encodeStepKey,
  idOfType,
  isOpaqueId,
  isUuid,
  NODE_TYPES,
  requireOpaqueId,
  requireText,
} from '../../src/model/ids.ts'

const BAD_REQUEST = { code: 'BAD_REQUEST' }
const UUID = '5e0f9a3c-7b1d-4d5e-8f60-112233445566'
const anyText = fc.string({ unit: 'binary', maxLength: 40 })

describe("a caller's own id", () => {
  it('is 1 to 512 bytes of any text that PostgreSQL can hold', () => {
    for (const id of [
      'a',
      ' ',
      'run 1/step:2',
      '../..',
      '%00',
      "';--",
      '東京',
      '🚚',
      'a'.repeat(512),
      '🚚'.repeat(128),
    ]) {
      assert.equal(isOpaqueId(id), true, id)
      assert.equal(requireOpaqueId('runId', id), id)
    }
    for (const id of ['', '\0', 'a\0b', '\ud800', 'a\udc00', 'a'.repeat(513), '🚚'.repeat(129)]) {
      assert.equal(isOpaqueId(id), false, JSON.stringify(id))
      assert.throws(() => requireOpaqueId('runId', id), { ...BAD_REQUEST, message: /^runId must/ })
    }
  })

  it('is a UUID for a snapshot, in whichever case', () => {
    assert.ok(isUuid(UUID) && isUuid(UUID.toUpperCase()))
    for (const id of [
      '',
      'x',
      UUID.slice(1),
      `${UUID}0`,
      ` ${UUID}`,
      `${UUID}\n`,
      `{${UUID}}`,
      UUID.replaceAll('-', ''),
    ]) {
      assert.equal(isUuid(id), false, id)
    }
  })
})

describe('a text of the caller', () => {
  it('is bounded in bytes and well-formed', () => {
    assert.equal(requireText('note', '', 0), '')
    assert.equal(requireText('note', 'ü', 2), 'ü')
    for (const text of ['abc', 'üa', '\0', '\udfff']) assert.throws(() => requireText('note', text, 2), BAD_REQUEST)
  })
})

describe('a global id', () => {
  it('gives back its type and its id, whatever the id holds', () => {
    fc.assert(
      fc.property(fc.constantFrom(...NODE_TYPES), fc.string({ unit: 'grapheme' }), (typename, id) => {
        assert.deepEqual(decodeGlobalId(encodeGlobalId(typename, id)), { typename, id })
        assert.equal(idOfType(typename, encodeGlobalId(typename, id)), id)
      }),
    )
  })

  it('is safe in a URL', () => {
    fc.assert(fc.property(anyText, (id) => /^[\w-]+$/.test(encodeGlobalId('Run', id))))
  })

  it('is refused when another server or hand made it', () => {
    const good = encodeGlobalId('Run', 'a?')
    const forms = [
      '',
      'x',
      '7',
      `${good}=`,
      ` ${good}`,
      `${good}\n`,
      good.replace('_', '/'),
      encodeGlobalId('Tag', 'a'),
    ]
    const texts = ['Run', 'run:a', ':a', ' Run:a', 'Query:'].map((text) => Buffer.from(text).toString('base64url'))
    const notUtf8 = Buffer.from([0x52, 0x75, 0x6e, 0x3a, 0xff]).toString('base64url')
    for (const id of [...forms.filter((form) => form !== good), ...texts, notUtf8]) {
      assert.throws(() => decodeGlobalId(id), BAD_REQUEST, id)
    }
    fc.assert(
      fc.property(anyText, (text) => {
        try {
          const { typename, id } = decodeGlobalId(text)
          return encodeGlobalId(typename, id) === text
        } catch (error) {
          assert.equal((error as { code?: string }).code, 'BAD_REQUEST')
          return true
        }
      }),
    )
  })

  it('of one type is no id of another', () => {
    assert.throws(() => idOfType('Step', encodeGlobalId('Run', 'a')), BAD_REQUEST)
  })
})

describe('the key of a step', () => {
  it('keeps its two parts apart, whatever they hold', () => {
    fc.assert(
      fc.property(anyText, anyText, (runId, stepId) => {
        assert.deepEqual(decodeStepKey(encodeStepKey(runId, stepId)), { runId, stepId })
      }),
    )
    const keys = [
      ['a', 'bc'],
      ['ab', 'c'],
      ['1:a', ''],
      ['', '1:a'],
      ['a:', 'b'],
      ['a', ':b'],
    ].map(([runId = '', stepId = '']) => encodeStepKey(runId, stepId))
    assert.equal(new Set(keys).size, keys.length)
  })

  it('is refused in any other spelling', () => {
    for (const key of ['', ':', 'a', '1', '5:abc', '-1:a', '1e0:a', '01:a', ' 1:a', '1.0:a', 'NaN:a', '+1:a']) {
      assert.throws(() => decodeStepKey(key), BAD_REQUEST, key)
    }
  })
})
