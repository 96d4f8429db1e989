import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { decodeIndex, encodeIndex } from '../../../src/json/parts/index-codec.ts'
import { createIndexer } from '../../../src/json/parts/indexer.ts'
import { INDEX_ABOVE_BYTES, type JsonIndex, UNIT_BYTES } from '../../../src/json/parts/json-index.ts'
import { createTreeHashes } from '../../../src/json/parts/tree-hashes.ts'
import { createJsonScanner } from '../../../src/json/scanner.ts'
import { indexOf, open, randomJson } from './documents.ts'
import { SHAPES } from './shapes.ts'

const UNIT = 4096
const SIZE = 2 ** 21
/** Of 64 KiB they are 1 MiB. */
const UNITS_READ = 16
const READS = 3

describe('the index of a document', () => {
  it('is none up to 1 MiB', () => {
    for (const [size, isThere] of [
      [INDEX_ABOVE_BYTES, false],
      [INDEX_ABOVE_BYTES + 1, true],
    ] as const) {
      const indexer = createIndexer()
      const scanner = createJsonScanner({ scan: indexer.scan })
      scanner.write(Buffer.from(`"${'x'.repeat(size - 2)}"`))
      scanner.end()
      assert.equal(indexer.end() !== null, isThere)
    }
  })

  for (const { name, chunks } of SHAPES) {
    it(`is small and lets every part be read by little: ${name}`, async () => {
      const bytes = Buffer.from([...chunks(SIZE, UNIT)].join(''))
      const index = indexOf(bytes, { unitBytes: UNIT, steps: [UNIT_BYTES] })
      // As 1 MiB is to 1 GiB, at the unit that is used.
      const most = (bytes.length / 1024) * (UNIT_BYTES / UNIT)
      const size = encodeIndex(index, '').length
      assert.ok(size <= most, `${size} of ${most} bytes`)
      // To find a key among many that the index does not keep, all of its object is read.
      if (name === 'object of small keys') return
      for (const at of [0.1, 0.5, 0.9, 0.999]) await checkReads(bytes, index, Math.floor(bytes.length * at))
    })
  }

  it('is refused with any byte changed, cut off, or added, and of another document', () => {
    const bytes = randomJson(20)
    const encoded = encodeIndex(indexOf(bytes), 'sha256:aa')
    const subject = { sizeBytes: bytes.length, digest: 'sha256:aa' }
    assert.ok(decodeIndex(encoded, subject))
    assert.equal(decodeIndex(encoded, { ...subject, digest: 'sha256:ab' }), null)
    assert.equal(decodeIndex(encoded, { ...subject, sizeBytes: bytes.length + 1 }), null)
    assert.equal(decodeIndex(Buffer.concat([encoded, Buffer.from([0])]), subject), null)
    for (let at = 0; at < encoded.length; at++) {
      assert.equal(decodeIndex(encoded.subarray(0, at), subject), null)
      const changed = Buffer.from(encoded)
      changed[at] = (changed[at] ?? 0) ^ 0x41
      assert.equal(decodeIndex(changed, subject), null)
    }
  })

  it('has other hashes where a byte is other, and the same for what is behind', () => {
    const texts = (name: string) =>
      Array.from({ length: 400 }, (_, item) => `{"id":${item},"t":"${name}${'x'.repeat(item % 90)}"}`)
    const [one, other] = [texts('a'), texts('a')]
    other.splice(100, 1, '{"id":100,"t":"changed"}')
    other.splice(300, 0, '{"inserted":true}')
    const entriesOf = (elements: readonly string[]) => {
      const index = indexOf(Buffer.from(`[${elements.join(',')}]`), { unitBytes: 1024 })
      const hashes = createTreeHashes(index)
      return index.top.node?.entries.map((entry) => hashes.ofEntry(entry)) ?? []
    }
    const [before, after] = [entriesOf(one), new Set(entriesOf(other))]
    const gone = before.filter((hash) => !after.has(hash))
    assert.ok(before.length > 15 && gone.length > 0 && gone.length <= 6, `${gone.length} of ${before.length}`)
  })
})

async function checkReads(bytes: Buffer, index: JsonIndex, offset: number): Promise<void> {
  const { document, reads } = open(bytes, index)
  const pointer = pointerTo(bytes, offset)
  await document.at(pointer)
  const read = reads.reduce((sum, { start, end }) => sum + end - start, 0)
  const told = `${pointer.slice(0, 50)}: ${reads.length} reads, ${read} bytes`
  assert.ok(reads.length <= READS && read <= UNITS_READ * UNIT, told)
}

/** Of the child that begins last before an offset. */
function pointerTo(bytes: Buffer, offset: number): string {
  const path: (string | number)[] = []
  let key = ''
  for (let at = 0; at < offset; at++) {
    const character = String.fromCharCode(bytes[at] ?? 0)
    if (character === '"') {
      const start = at + 1
      for (at++; bytes[at] !== 0x22; at++) if (bytes[at] === 0x5c) at++
      if (bytes[at + 1] === 0x3a) key = bytes.toString('utf8', start, at)
    }
    const last = path.at(-1)
    if (character === '[') path.push(0)
    else if (character === '{') path.push('')
    else if (character === ']' || character === '}') path.pop()
    else if (character === ',' && typeof last === 'number') path.push((path.pop() as number) + 1)
    if (typeof path.at(-1) === 'string') path.splice(-1, 1, key)
  }
  return path.map((token) => `/${token}`).join('')
}
