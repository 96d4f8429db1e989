import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { previewOf } from '../../src/json/preview.ts'

const previewOfText = (text: string) => {
  const bytes = Buffer.from(text)
  return previewOf(bytes.subarray(0, 1024), bytes.length)
}

describe('previewOf', () => {
  it('is the whole document up to 1,024 bytes', () => {
    for (const text of ['0', '{"a": "状態"}', `"${'x'.repeat(1022)}"`]) assert.equal(previewOfText(text), text)
  })

  it('is the beginning and an ellipsis above, 1,024 bytes in all', () => {
    assert.equal(previewOfText(`"${'x'.repeat(1023)}"`), `"${'x'.repeat(1020)}…`)
  })

  it('cuts between characters of every length', () => {
    for (const character of ['é', '状', '😀']) {
      for (let shift = 0; shift < 4; shift++) {
        const preview = previewOfText(`"${'x'.repeat(shift)}${character.repeat(600)}"`)
        assert.match(preview, new RegExp(`^"x{${shift}}(${character})+…$`, 'u'))
        const size = Buffer.byteLength(preview)
        assert.ok(size <= 1024 && size > 1024 - Buffer.byteLength(character), `${size} bytes`)
      }
    }
  })

  it('cuts a character that the head does not hold in full', () => {
    assert.equal(previewOf(Buffer.from('"状態').subarray(0, 6), 5000), '"状…')
    assert.equal(previewOf(Buffer.from('"状態'), 5000), '"状態…')
  })

  it('shows that there is more when the head is shorter than a small document', () => {
    assert.equal(previewOf(Buffer.from('[1,2'), 10), '[1,2…')
  })

  it('reads a head that lies inside a larger buffer, and one that is no Buffer', () => {
    assert.equal(previewOf(Buffer.from('xx[1]xx').subarray(2, 5), 3), '[1]')
    assert.equal(previewOf(new Uint8Array([0x5b, 0x31, 0x5d]), 3), '[1]')
  })

  it('is always a beginning of the document and never above 1,024 bytes', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme', minLength: 300, maxLength: 1500 }), (text) => {
        const document = JSON.stringify(text)
        const preview = previewOfText(document)
        assert.ok(Buffer.byteLength(preview) <= 1024)
        if (preview !== document) assert.ok(preview.endsWith('…') && document.startsWith(preview.slice(0, -1)))
      }),
      { numRuns: 300 },
    )
  })
})
