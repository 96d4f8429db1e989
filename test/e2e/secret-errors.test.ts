import assert from 'node:assert/strict'
import { writeFile } from 'node:fs/promises'
import { describe, it } from 'node:test'
import { send } from '../support/http.ts'
import { startProcess } from '../support/process.ts'
import { openStore } from '../support/store.ts'
import { temporaryFolder } from '../support/tmp.ts'

const CANARY = 'canary-postgres://app:secret@db'

/** Has an error with a secret be thrown in each part of an operation that names it: it is told which by a word in what is asked. */
const FAULTS = `
import process from 'node:process'
import pg from 'pg'
const fail = (where) => { throw new Error('${CANARY} ' + where) }
const { byteLength } = Buffer
Buffer.byteLength = (text, ...rest) =>
  typeof text === 'string' && text.includes('inHook') && new Error().stack.includes('onParse') ? fail('hook') : byteLength(text, ...rest)
const { clearTimeout: clear } = globalThis
const parts = ['none', 'context', 'resolver']
let armed = 0
process.on('SIGUSR2', () => { armed++; process.stderr.write('armed ' + parts[armed] + '\\n') })
globalThis.clearTimeout = (timer) =>
  parts[armed] === 'context' && /LazyDeadline.keep/.test(new Error().stack) ? fail('context') : clear(timer)
const { query } = pg.Client.prototype
pg.Client.prototype.query = function (...asked) {
  return parts[armed] === 'resolver' ? fail('resolver') : query.apply(this, asked)
}
`

const PLACES = ['hook', 'context', 'resolver']

describe('A20: an error with secrets in its words', { concurrency: true }, () => {
  for (const nodeEnv of ['development', undefined]) {
    it(`is told as nothing but an internal one, and logged without them: NODE_ENV=${nodeEnv}`, async () => {
      await using store = await openStore()
      await using folder = await temporaryFolder()
      const code = `${folder.path}/faults.mjs`
      await writeFile(code, FAULTS.replace("'pg'", `'${import.meta.resolve('pg')}'`))
      await using server = startProcess({
        args: ['serve'],
        env: {
          PORT: '0',
          DATABASE_URL: store.databaseUrl,
          SNAPSHOT_STORAGE_PATH: store.storagePath,
          ...(nodeEnv === undefined ? {} : { NODE_ENV: nodeEnv }),
        },
        nodeArgs: ['--import', code],
      })
      const url = await server.waitForUrl()
      for (const where of PLACES) {
        if (where !== 'hook') {
          process.kill(server.pid, 'SIGUSR2')
          await server.waitForLine(new RegExp(`^armed ${where}`))
        }
        const text = `{ run(runId: "${where === 'hook' ? 'inHook' : 'any'}") { runId } }`
        const { status, headers, body } = await send(url, {
          method: 'POST',
          target: '/graphql',
          headers: { 'content-type': 'application/json' },
          body: JSON.stringify({ query: text }),
        })
        const said = `${JSON.stringify(headers)} ${body}`
        assert.match(said, /INTERNAL_SERVER_ERROR/, `${where}: ${status} ${said}`)
        assert.doesNotMatch(said, /canary|postgres:| {4}at |\/src\/|node_modules|file:\/\/|originalError|stack/, where)
        assert.ok(headers['x-request-id'], where)
      }
      assert.equal((await send(url, { target: '/health/live' })).status, 200)
      const logged = server.stdout() + server.stderr()
      assert.ok(logged.includes('"level":50'))
      assert.ok(!logged.includes('canary'), logged)
    })
  }
})
