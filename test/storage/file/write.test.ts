import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { it } from 'node:test'
import { NODE_FILE_SYSTEM } from '../../../src/storage/file/file-system.ts'
import { writeOnce } from '../../../src/storage/file/write.ts'
import { temporaryFolder } from '../../support/tmp.ts'

const MIB = 1_048_576

/** Chunks of these sizes in turn. */
async function* chunksOf(bytes: Buffer, sizes: readonly number[]) {
  for (let at = 0, i = 0; at < bytes.length; i++) {
    const end = Math.min(bytes.length, at + (sizes[i % sizes.length] as number))
    const chunk = Buffer.from(bytes.subarray(at, end))
    at = end
    yield chunk
  }
}

it('writes every byte of a body, however it is cut', async () => {
  await using folder = await temporaryFolder()
  const sizes = [0, 1, 65_536, 131_071, 131_072, 131_073, MIB - 1, MIB, MIB + 1, 3 * MIB + 17]
  const cuts = [[65_536], [1000, 131_072], [131_073], [MIB - 1, 2], [MIB], [2 * MIB + 5, 1], [5 * MIB]]
  for (const size of sizes) {
    const bytes = randomBytes(size)
    for (const [number, cut] of cuts.entries()) {
      const path = join(folder.path, `${size}-${number}`)
      await writeOnce(NODE_FILE_SYSTEM, { path, partial: `${path}.part` }, chunksOf(bytes, cut))
      assert.ok((await readFile(path)).equals(bytes), `${size} bytes cut by ${cut}`)
    }
  }
})
