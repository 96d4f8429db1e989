import assert from 'node:assert/strict'
import { writeFile } from 'node:fs/promises'
import { describe, it } from 'node:test'
import { startProcess } from '../support/process.ts'
import { openStore } from '../support/store.ts'
import { temporaryFolder } from '../support/tmp.ts'

const CANARY = 'canary-of-what-nobody-caught'
/** What goes wrong in the process when it is told to. */
const FAILURES = {
  'a rejection that nobody hears': `Promise.reject(new Error('${CANARY}'))`,
  'an error that nobody catches': `setImmediate(() => { throw new Error('${CANARY}') })`,
}

describe('a server in which something nobody foresaw goes wrong', { concurrency: true }, () => {
  for (const [name, failure] of Object.entries(FAILURES)) {
    it(`J3: ends within five seconds, says so once, and tells none of its words: ${name}`, async () => {
      await using store = await openStore()
      await using folder = await temporaryFolder()
      const code = `${folder.path}/fail.mjs`
      await writeFile(code, `process.on('SIGUSR2', () => { ${failure} })`)
      await using server = startProcess({
        args: ['serve'],
        env: { PORT: '0', DATABASE_URL: store.databaseUrl, SNAPSHOT_STORAGE_PATH: store.storagePath },
        nodeArgs: ['--import', code],
      })
      const url = await server.waitForUrl()
      assert.equal((await fetch(`${url}/health/live`)).status, 200)
      const began = performance.now()
      const { code: exit } = await server.stop('SIGUSR2')
      assert.equal(exit, 1)
      assert.ok(performance.now() - began < 5000)
      const said = server.stdout() + server.stderr()
      assert.equal(said.split('\n').filter((line) => /"level":(50|60)/.test(line)).length, 1)
      assert.ok(!said.includes(CANARY))
    })
  }
})
