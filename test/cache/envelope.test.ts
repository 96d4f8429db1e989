import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { unwrap, wrap } from '../../src/cache/envelope.ts'

const anyKey = fc.string({ unit: 'binary' })
const anyBytes = fc.uint8Array({ maxLength: 300 }).map((bytes) => Buffer.from(bytes))

describe('the envelope of cached bytes', () => {
  it('gives back what was wrapped under the key, without a copy', () => {
    fc.assert(
      fc.property(anyKey, anyBytes, (key, bytes) => {
        const envelope = wrap(key, bytes)
        const found = unwrap(key, envelope)
        assert.deepEqual(found, bytes)
        assert.equal(found?.buffer, envelope.buffer)
      }),
    )
  })

  it('S7: holds bytes to a key that is their digest, whoever wrapped them', () => {
    const bytes = Buffer.from('{"balance":1}')
    const key = `sha256:${createHash('sha256').update(bytes).digest('hex')}`
    assert.deepEqual(unwrap(key, wrap(key, bytes)), bytes)
    assert.equal(unwrap(key, wrap(key, Buffer.from('{"balance":9}'))), undefined)
  })

  it('gives nothing under another key', () => {
    fc.assert(
      fc.property(anyKey, anyKey, anyBytes, (key, other, bytes) => {
        fc.pre(key !== other)
        assert.equal(unwrap(other, wrap(key, bytes)), undefined)
      }),
    )
    assert.equal(unwrap('\ud801', wrap('\ud800', Buffer.from('x'))), undefined)
  })

  it('does not take the start of the bytes for the end of the key', () => {
    assert.equal(unwrap('ab', wrap('a', Buffer.from('b', 'utf16le'))), undefined)
    assert.equal(unwrap('a', wrap('ab', Buffer.alloc(0))), undefined)
  })

  it('gives nothing when one bit of it differs', () => {
    const envelope = wrap('key', Buffer.from('{"state":1}'))
    for (let bit = 0; bit < envelope.length * 8; bit++) {
      const changed = Buffer.from(envelope)
      changed[bit >> 3] = (changed[bit >> 3] ?? 0) ^ (1 << (bit & 7))
      assert.equal(unwrap('key', changed), undefined, `bit ${bit}`)
    }
  })

  it('gives nothing when it was cut short or made longer', () => {
    const envelope = wrap('key', Buffer.from('{"state":1}'))
    for (let length = 0; length < envelope.length; length++) {
      assert.equal(unwrap('key', envelope.subarray(0, length)), undefined)
    }
    assert.equal(unwrap('key', Buffer.concat([envelope, Buffer.from('x')])), undefined)
  })

  it('gives nothing for bytes that are no envelope', () => {
    fc.assert(fc.property(anyKey, anyBytes, (key, bytes) => assert.equal(unwrap(key, bytes), undefined)))
  })
})
