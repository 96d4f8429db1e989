import assert from 'node:assert/strict'
import { createHash, randomBytes } from 'node:crypto'
import { describe, it } from 'node:test'
import { chunkCountOf, createChunkCheck, createStoredBytesMeter } from '../../src/snapshots/stored-bytes.ts'

const LEAF = 16
const OPTIONS = { leafBytes: LEAF, chunksMax: 4 }

function measure(bytes: Buffer, step: number) {
  const meter = createStoredBytesMeter(OPTIONS)
  for (let at = 0; at < bytes.length; at += step) meter.write(bytes.subarray(at, at + step))
  return meter.end()
}

describe('what is noted of stored bytes', () => {
  it('is the same however they come, for every number of leaves', () => {
    for (const leaves of [0.5, 1, 1.5, 2, 3, 3.99, 4, 4.5, 5, 7, 8, 9, 12, 16, 17, 31, 33, 64, 65]) {
      const bytes = randomBytes(Math.round(leaves * LEAF))
      const stored = measure(bytes, bytes.length)
      assert.deepEqual(stored.digest, createHash('sha256').update(bytes).digest())
      assert.equal(stored.sizeBytes, bytes.length)
      for (const step of [1, 7, LEAF, 3 * LEAF]) assert.deepEqual(measure(bytes, step), stored, `${leaves} by ${step}`)
    }
  })

  it('has few chunks whatever the size, each of which can be checked alone', () => {
    for (const leaves of [1, 3, 4, 9, 17, 63, 64, 65, 100]) {
      const bytes = randomBytes(leaves * LEAF - 3)
      const stored = measure(bytes, 1000)
      const count = chunkCountOf(stored)
      assert.ok(count <= 4, `${count} chunks of ${leaves} leaves`)
      assert.equal(stored.chunkDigests.length, count * 32)
      const check = createChunkCheck(stored, LEAF)
      for (let index = count - 1; index >= 0; index--) {
        const chunk = bytes.subarray(index * stored.chunkSizeBytes, (index + 1) * stored.chunkSizeBytes)
        check.write(chunk)
        assert.ok(check.isChunk(index), `chunk ${index} of ${leaves} leaves`)
        for (const place of [0, chunk.length - 1]) {
          const other = Buffer.from(chunk)
          other.writeUInt8(other.readUInt8(place) ^ 1, place)
          check.write(other)
          assert.ok(!check.isChunk(index), 'a flipped bit shows')
        }
        check.write(chunk.subarray(1))
        assert.ok(!check.isChunk(index), 'a missing byte shows')
        check.write(chunk)
        assert.ok(!check.isChunk(index + 1), 'another place shows')
      }
    }
  })

  it('is a digest a MiB, as anyone can compute it', () => {
    const bytes = randomBytes(2_500_000)
    const meter = createStoredBytesMeter()
    meter.write(bytes)
    const { chunkSizeBytes, chunkDigests } = meter.end()
    assert.equal(chunkSizeBytes, 1_048_576)
    const expected = [0, 1, 2].map((index) =>
      createHash('sha256')
        .update(bytes.subarray(index * chunkSizeBytes, (index + 1) * chunkSizeBytes))
        .digest(),
    )
    assert.deepEqual(chunkDigests, Buffer.concat(expected))
  })
})
