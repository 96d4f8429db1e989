import assert from 'node:assert/strict'
import { rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { it } from 'node:test'
import { openChangingFile } from '../src/changing-file.ts'
import { temporaryFolder } from './support/tmp.ts'

it('a file that changes is read anew a second later, when it was written, replaced or removed, and not otherwise', async () => {
  await using folder = await temporaryFolder()
  const path = join(folder.path, 'file')
  await writeFile(path, 'one')
  let now = 0
  let reads = 0
  const problems: (readonly string[])[] = []
  const read = (text: string | undefined) => {
    reads++
    return { value: text ?? 'nothing', problems: text === undefined ? ['cannot be read'] : [] }
  }
  const current = openChangingFile({ path, read, onProblems: (found) => problems.push(found), now: () => now })
  const later = () => {
    now += 1000
    return current()
  }
  assert.equal(current(), 'one')
  await writeFile(path, 'two')
  assert.equal(current(), 'one')
  assert.deepEqual([later(), later(), later(), reads], ['two', 'two', 'two', 2])
  // Of the same size: its times tell.
  await writeFile(path, 'owt')
  assert.equal(later(), 'owt')
  await writeFile(`${path}.next`, 'six')
  await rename(`${path}.next`, path)
  assert.equal(later(), 'six')
  assert.deepEqual(problems, [])
  await rm(path)
  assert.deepEqual([later(), later(), problems], ['nothing', 'nothing', [['cannot be read']]])
  await writeFile(path, 'back')
  assert.equal(later(), 'back')
})
