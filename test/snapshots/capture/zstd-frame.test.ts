import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { it } from 'node:test'
import { constants, zstdCompressSync } from 'node:zlib'
import { createZstdFrame } from '../../../src/snapshots/capture/zstd-frame.ts'

const CONTENTS = [
  Buffer.alloc(0),
  Buffer.from('{}'),
  Buffer.alloc(300),
  Buffer.alloc(1_000_000, 'abc'),
  randomBytes(300_000),
]

function frames(content: Buffer): Buffer[] {
  const { ZSTD_c_checksumFlag, ZSTD_c_contentSizeFlag, ZSTD_c_windowLog } = constants
  return [
    zstdCompressSync(content),
    zstdCompressSync(content, { params: { [ZSTD_c_checksumFlag]: 1 } }),
    zstdCompressSync(content, { params: { [ZSTD_c_contentSizeFlag]: 0, [ZSTD_c_windowLog]: 17 } }),
  ]
}

function acceptsIn(bytes: Buffer, step: number): boolean {
  const frame = createZstdFrame()
  for (let at = 0; at < bytes.length; at += step) if (!frame.accepts(bytes.subarray(at, at + step))) return false
  return true
}

it('follows a frame to its end however it is cut, and takes nothing after it', () => {
  for (const frame of CONTENTS.flatMap(frames)) {
    for (const step of [1, 7, frame.length]) {
      assert.ok(acceptsIn(frame, step))
      assert.ok(!acceptsIn(Buffer.concat([frame, Buffer.alloc(1)]), step))
      assert.ok(!acceptsIn(Buffer.concat([frame, frame]), step))
    }
  }
})

it('takes no other magic, a skippable frame least of all', () => {
  const skippable = Buffer.from([0x50, 0x2a, 0x4d, 0x18, 0, 0, 0, 0])
  assert.ok(!acceptsIn(Buffer.concat([skippable, zstdCompressSync('{}')]), 3))
  assert.ok(!acceptsIn(Buffer.from('{"a":1}'), 2))
})
