import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { bytesOf, INVALID, VALID } from './cases.ts'
import { bytewise, verdictOf } from './verdict.ts'

const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

/** The other opinion: a strict decoder, then V8's parser. */
function isJson(document: Uint8Array): boolean {
  try {
    JSON.parse(decoder.decode(document))
    return true
  } catch {
    return false
  }
}

const asciiOrNot = fc.string({ unit: 'binary', maxLength: 40 })
const written = fc
  .tuple(fc.jsonValue({ stringUnit: 'binary', maxDepth: 5 }), fc.constantFrom('', ' ', '\t', 2, 8))
  .map(([value, indent]) => Buffer.from(JSON.stringify(value, null, indent)))
const awkward = fc.constantFrom(...[...VALID, ...INVALID].map(bytesOf))
const token = fc.oneof(
  fc.constantFrom(
    '{',
    '}',
    '[',
    ']',
    ':',
    ',',
    '"',
    '\\',
    '\n',
    '\n      ',
    ' ',
    '\t',
    '\\u',
    '\\n',
    '-',
    '.',
    'e',
    '+',
    '0',
  ),
  fc.constantFrom(
    'true',
    'false',
    'null',
    'nul',
    '{}',
    '[]',
    '"key":',
    '"key"',
    '1',
    '-0',
    '1.5e-3',
    '12345678',
    '\\ud83d',
  ),
  asciiOrNot,
  asciiOrNot.map((text) => JSON.stringify(text)),
)
const soup = fc.array(token, { maxLength: 12 }).map((tokens) => Buffer.from(tokens.join('')))
const document = fc.oneof(written, awkward, soup)

/** Replaces a few bytes with one other, with none, or with one before. */
const mutation = fc.record({
  at: fc.nat(),
  kind: fc.constantFrom('flip', 'delete', 'insert'),
  byte: fc.oneof(
    fc.nat(255),
    fc.constantFrom(...Buffer.from('{}[]":,\\0e. \n\u0000\u001f'), 0x80, 0xc3, 0xe0, 0xed, 0xf0, 0xf4),
  ),
})
const mutated = fc.tuple(document, fc.array(mutation, { minLength: 1, maxLength: 3 })).map(([original, mutations]) =>
  mutations.reduce<Buffer>((bytes, { at, kind, byte }) => {
    const start = at % (bytes.length + 1)
    const kept = kind === 'insert' ? start : start + 1
    return Buffer.concat([bytes.subarray(0, start), Buffer.from(kind === 'delete' ? [] : [byte]), bytes.subarray(kept)])
  }, original),
)
const cuts = fc.array(fc.nat(400), { maxLength: 6 })

/** Both must agree on the document, and the scanner with itself however it is cut. */
function check(bytes: Buffer, at: readonly number[]): void {
  const verdict = verdictOf(bytes)
  assert.equal(verdict.code ?? 'valid', isJson(bytes) ? 'valid' : 'INVALID_PAYLOAD')
  assert.deepEqual(verdictOf(bytes, at), verdict)
  assert.deepEqual(verdictOf(bytes, bytewise(bytes)), verdict)
}

const numRuns = 1500

describe('createJsonScanner beside a strict decoder and JSON.parse', () => {
  it('accepts what was written as JSON, however it is cut', () => {
    fc.assert(fc.property(written, cuts, check), { numRuns })
  })

  it('agrees on tokens in any order', () => {
    fc.assert(fc.property(soup, cuts, check), { numRuns })
  })

  it('agrees on documents with bytes flipped, deleted and inserted', () => {
    fc.assert(fc.property(mutated, cuts, check), { numRuns: numRuns * 2 })
  })

  it('agrees on any bytes between two quotes', () => {
    const bytes = fc.uint8Array({ maxLength: 12 }).map((inside) => Buffer.from([0x22, ...inside, 0x22]))
    fc.assert(fc.property(bytes, cuts, check), { numRuns })
  })

  it('agrees on every sequence of two bytes in a string', () => {
    for (let pair = 0; pair < 0x10000; pair++) {
      const bytes = Buffer.from([0x22, pair >> 8, pair & 0xff, 0x22])
      assert.equal(verdictOf(bytes).scanned !== undefined, isJson(bytes), bytes.toString('hex'))
    }
  })

  it('agrees on every first and second byte of longer characters', () => {
    for (let pair = 0xe000; pair < 0x10000; pair++) {
      for (const rest of [[0x80], [0x80, 0x80]]) {
        const bytes = Buffer.from([0x22, pair >> 8, pair & 0xff, ...rest, 0x22])
        assert.equal(verdictOf(bytes).scanned !== undefined, isJson(bytes), bytes.toString('hex'))
      }
    }
  })
})
