import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { createJsonScanner } from '../../src/json/scanner.ts'
import { bytesOf, INVALID, VALID } from './cases.ts'
import { bytewise, verdictOf } from './verdict.ts'

describe('createJsonScanner', () => {
  for (const valid of VALID) {
    it(`accepts ${valid[0]}`, () => {
      const document = bytesOf(valid)
      assert.equal(verdictOf(document).scanned?.sizeBytes, document.length)
    })
  }

  for (const invalid of INVALID) {
    it(`refuses ${invalid[0]}`, () => {
      assert.equal(verdictOf(bytesOf(invalid)).code, 'INVALID_PAYLOAD')
    })
  }

  it('gives the same verdict wherever a document is cut', () => {
    for (const document of [...VALID, ...INVALID].map(bytesOf)) {
      const whole = verdictOf(document)
      assert.deepEqual(verdictOf(document, bytewise(document)), whole)
      for (const cut of bytewise(document)) assert.deepEqual(verdictOf(document, [cut]), whole)
    }
  })

  it('takes bytes that lie anywhere in a larger buffer, and empty chunks', () => {
    const document = Buffer.from(`{"a":[1234567,"${'x'.repeat(40)}"]}`)
    const around = Buffer.concat([Buffer.from('"}]{['), document, Buffer.from('"}]{[')])
    const inside = around.subarray(5, 5 + document.length)
    assert.deepEqual(verdictOf(inside, [0, 0, 7, 7]).scanned, { sizeBytes: 58, depth: 2, topLevel: 'object' })
    assert.deepEqual(verdictOf(new Uint8Array(document)), verdictOf(inside))
  })

  it('tells the size, the depth and the kind of the value at the top', () => {
    const scanned = (text: string) => verdictOf(Buffer.from(text)).scanned
    assert.deepEqual(scanned(' {"a":[[],{}]}\n'), { sizeBytes: 15, depth: 3, topLevel: 'object' })
    assert.deepEqual(scanned('[[[]],[]]'), { sizeBytes: 9, depth: 3, topLevel: 'array' })
    assert.deepEqual(scanned('"é"'), { sizeBytes: 4, depth: 0, topLevel: 'string' })
    assert.deepEqual(scanned('\t-1e9'), { sizeBytes: 5, depth: 0, topLevel: 'number' })
    assert.deepEqual(scanned('true'), { sizeBytes: 4, depth: 0, topLevel: 'boolean' })
    assert.deepEqual(scanned('false'), { sizeBytes: 5, depth: 0, topLevel: 'boolean' })
    assert.deepEqual(scanned('null'), { sizeBytes: 4, depth: 0, topLevel: 'null' })
  })

  it('names the first bad byte and no content', () => {
    const offsetOf = (document: Uint8Array) =>
      /^Invalid JSON at byte (\d+): expected /.exec(verdictOf(document).message ?? '')?.[1]
    assert.equal(offsetOf(Buffer.from('{"password":"hunter2",bad}')), '22')
    assert.equal(offsetOf(Buffer.from('["hunter2"')), '10')
    assert.equal(offsetOf(Buffer.from([0x22, 0xe4, 0xb8, 0x41, 0x22])), '3')
    assert.equal(offsetOf(Buffer.from([0x5b, 0x21, 0xff])), '1', 'the grammar, as it comes before the bad UTF-8')
    assert.doesNotMatch(verdictOf(Buffer.from('{"password":"hunter2",bad}')).message ?? '', /password|hunter2|bad\b/)
  })

  it('throws in the write that brings the bad byte', () => {
    for (const text of ['{"a":1,}', '"\u0001', '[01', '"\\x', '[nux', '[]x']) {
      const scanner = createJsonScanner()
      const document = Buffer.from(text)
      scanner.write(document.subarray(0, -1))
      assert.throws(() => scanner.write(document.subarray(-1)), { code: 'INVALID_PAYLOAD' })
    }
    const scanner = createJsonScanner()
    scanner.write(Buffer.from([0x22, 0xe0]))
    assert.throws(() => scanner.write(Buffer.from([0x80])), { code: 'INVALID_PAYLOAD' })
  })

  it('stays refused after an error', () => {
    const scanner = createJsonScanner()
    scanner.write(Buffer.from('[1'))
    assert.throws(() => scanner.write(Buffer.from('}')), { code: 'INVALID_PAYLOAD' })
    assert.throws(() => scanner.write(Buffer.from(']')), { code: 'INVALID_PAYLOAD' })
    assert.throws(() => scanner.end(), { code: 'INVALID_PAYLOAD' })
  })
})

describe('the limits of createJsonScanner', () => {
  const nested = (levels: number) =>
    Buffer.from('[{"a":'.repeat(levels / 2) + (levels % 2 ? '[]' : '0') + '}]'.repeat(levels / 2))

  it('accepts 512 levels and refuses 513', () => {
    assert.equal(verdictOf(nested(512)).scanned?.depth, 512)
    assert.equal(verdictOf(nested(513)).code, 'INVALID_PAYLOAD')
  })

  it('refuses a million levels at the 513th byte', () => {
    const document = Buffer.alloc(1_000_000, '[')
    const scanner = createJsonScanner()
    scanner.write(document.subarray(0, 512))
    assert.throws(() => scanner.write(document.subarray(512, 513)), { code: 'INVALID_PAYLOAD' })
    assert.match(verdictOf(document).message ?? '', /at byte 512:/)
  })

  it('counts open containers, not all of them', () => {
    assert.equal(verdictOf(Buffer.from(`[${'[{}],'.repeat(10_000)}1]`)).scanned?.depth, 3)
  })

  it('takes another depth, and 0 for scalars alone', () => {
    assert.equal(verdictOf(nested(2), [], { maxDepth: 2 }).scanned?.depth, 2)
    assert.equal(verdictOf(nested(3), [], { maxDepth: 2 }).code, 'INVALID_PAYLOAD')
    assert.equal(verdictOf(Buffer.from('1'), [], { maxDepth: 0 }).scanned?.depth, 0)
    assert.equal(verdictOf(Buffer.from('[]'), [], { maxDepth: 0 }).code, 'INVALID_PAYLOAD')
  })

  it('refuses more than maxBytes as too large, however it is cut', () => {
    const document = Buffer.from('{"a":"é"}')
    assert.equal(verdictOf(document, [], { maxBytes: document.length }).scanned?.sizeBytes, 10)
    for (const cuts of [[], [3], [7], bytewise(document)]) {
      assert.equal(verdictOf(document, cuts, { maxBytes: 9 }).code, 'PAYLOAD_TOO_LARGE')
      assert.equal(verdictOf(document, cuts, { maxBytes: 0 }).code, 'PAYLOAD_TOO_LARGE')
    }
  })

  it('names what is invalid before the limit rather than the size', () => {
    assert.equal(verdictOf(Buffer.from('{]     '), [], { maxBytes: 3 }).code, 'INVALID_PAYLOAD')
    assert.equal(verdictOf(Buffer.from('{  ]   '), [], { maxBytes: 3 }).code, 'PAYLOAD_TOO_LARGE')
  })
})
