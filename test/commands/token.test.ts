import assert from 'node:assert/strict'
import { readdir, readFile, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { createTokenCheck, parseTokenFile } from '../../src/auth/tokens.ts'
import { StartError } from '../../src/commands/start-error.ts'
import { runToken } from '../../src/commands/token.ts'
import { temporaryFolder } from '../support/tmp.ts'

async function opened() {
  const folder = await temporaryFolder()
  const path = join(folder.path, 'tokens')
  const run = async (words: string, scopes?: string) => {
    const lines: string[] = []
    await runToken({ path, words: words.split(' '), scopes, print: (line) => lines.push(line) })
    return lines
  }
  return { path, folder: folder.path, run, [Symbol.asyncDispose]: () => folder[Symbol.asyncDispose]() }
}

describe('the command token', () => {
  it('makes a token that the file does not show, lists it, and ends it', async () => {
    await using file = await opened()
    const [token = ''] = await file.run('add ci', 'write, delete')
    await file.run('add reader')
    const text = await readFile(file.path, 'utf8')
    assert.ok(!text.includes(token) && !text.includes(token.slice(3)))
    assert.equal((await stat(file.path)).mode & 0o777, 0o600)
    assert.deepEqual(createTokenCheck(parseTokenFile(text).entries)(token), {
      name: 'ci',
      scopes: new Set(['write', 'delete']),
      mode: 'token',
    })
    assert.deepEqual(await file.run('list'), ['ci  write,delete', 'reader  read'])
    assert.deepEqual(await file.run('end ci'), [])
    assert.deepEqual(await file.run('list'), ['reader  read'])
    assert.deepEqual(await readdir(file.folder), ['tokens'])
  })

  it('keeps what somebody wrote beside', async () => {
    await using file = await opened()
    await writeFile(file.path, '# of the team\nbroken line', { mode: 0o644 })
    await file.run('add ci')
    assert.match(await readFile(file.path, 'utf8'), /^# of the team\nbroken line\nci read sha256:\w+\n$/)
    assert.deepEqual(await file.run('list'), ['! line 2 is not name, scopes, digest', 'ci  read'])
    assert.equal((await stat(file.path)).mode & 0o777, 0o600)
  })

  it('refuses what it cannot do, and leaves the file as it was', async () => {
    await using file = await opened()
    await file.run('add ci')
    const before = await readFile(file.path, 'utf8')
    for (const [words, scopes] of [
      ['add ci'],
      ['add a', 'root'],
      ['add a', ''],
      ['end nobody'],
      ['add'],
      ['list x'],
      ['show'],
      [''],
    ] as const) {
      await assert.rejects(file.run(words, scopes), StartError, words)
    }
    await assert.rejects(
      runToken({ path: join(file.folder, 'no/tokens'), words: ['add', 'x'], scopes: undefined, print() {} }),
      StartError,
    )
    assert.equal(await readFile(file.path, 'utf8'), before)
    assert.deepEqual(await readdir(file.folder), ['tokens'])
  })

  it('loses nothing when several are run at once: each has its turn, or is told', async () => {
    await using file = await opened()
    const results = await Promise.allSettled(Array.from({ length: 8 }, (_, i) => file.run(`add t${i}`)))
    const made = results.filter(({ status }) => status === 'fulfilled')
    assert.ok(made.length > 0)
    assert.equal((await file.run('list')).length, made.length)
  })
})
