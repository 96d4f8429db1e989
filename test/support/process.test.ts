import assert from 'node:assert/strict'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { startProcess } from './process.ts'
import { temporaryFolder } from './tmp.ts'

const SERVER = `
process.on('SIGTERM', () => { console.error('drained'); process.exit(7) })
console.log(JSON.stringify(Object.keys(process.env).sort()))
console.log('listening on http://127.0.0.1:1234/graphql')
setInterval(() => {}, 1000)
`

describe('child process', () => {
  it('gets its own environment, prints a URL, and ends by SIGTERM with its own code', async () => {
    await using folder = await temporaryFolder()
    await using child = startProcess({ args: [], script: await save(folder.path, SERVER), env: { PORT: '0' } })
    assert.equal(await child.waitForUrl(), 'http://127.0.0.1:1234')
    const [environment] = await child.waitForLine(/^\[.*\]$/)
    assert.deepEqual(JSON.parse(environment), ['NODE_COMPILE_CACHE', 'PATH', 'PORT'])
    assert.deepEqual(await child.stop('SIGTERM'), { code: 7, signal: null })
    assert.match(child.stderr(), /drained/)
  })

  it('says what was printed when the process ends before the line', async () => {
    await using folder = await temporaryFolder()
    await using child = startProcess({ args: [], script: await save(folder.path, 'console.log("no settings")') })
    await assert.rejects(child.waitForLine(/ready/), /no settings/)
  })

  it('is killed on dispose', async () => {
    await using folder = await temporaryFolder()
    const child = startProcess({ args: [], script: await save(folder.path, SERVER) })
    await child.waitForUrl()
    await child[Symbol.asyncDispose]()
    assert.deepEqual(await child.exited, { code: null, signal: 'SIGKILL' })
  })
})

async function save(folder: string, code: string): Promise<string> {
  const path = join(folder, 'script.mjs')
  await writeFile(path, code)
  return path
}
