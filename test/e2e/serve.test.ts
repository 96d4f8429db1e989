import assert from 'node:assert/strict'
import { createServer } from 'node:net'
import { after, before, describe, it } from 'node:test'
import { type RunningProcess, startProcess } from '../support/process.ts'
import { type TemporaryFolder, temporaryFolder } from '../support/tmp.ts'
import { livingProcessesOf } from './processes.ts'

const CAPTURE = `mutation ($stepId: String!, $payload: JSON) {
  captureSnapshot(input: { runId: "r", stepId: $stepId, payload: $payload }) { snapshot { digest sizeBytes storageTier } }
}`
const READ =
  'query ($stepId: String!) { snapshot(runId: "r", stepId: $stepId) { digest sizeBytes storageTier payload } }'

const SMALL = { text: 'café 東京 🚚', list: [1, 2.5, null, true] }
const LARGE = Array.from({ length: 20_000 }, (_none, id) => ({ id, text: `document ${id} `.repeat(5) }))

async function query(url: string, text: string, variables: object): Promise<Record<string, unknown>> {
  const response = await fetch(`${url}/graphql`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ query: text, variables }),
  })
  const { data, errors } = (await response.json()) as { data: Record<string, unknown>; errors?: unknown }
  assert.equal(errors, undefined)
  return data
}

describe('serve with no settings', () => {
  let folder: TemporaryFolder
  before(async () => {
    folder = await temporaryFolder()
  })
  after(() => folder[Symbol.asyncDispose]())

  /** In an empty folder, where DATA_DIR is `.statelens`; a free port lets tests run beside a server. */
  function serve(): RunningProcess {
    return startProcess({ args: ['serve'], env: { PORT: '0' }, cwd: folder.path })
  }

  it('answers on an embedded database, and keeps what it captured over a restart', async () => {
    const captured = []
    {
      await using server = serve()
      const url = await server.waitForUrl()
      for (const [stepId, payload] of Object.entries({ small: SMALL, large: LARGE })) {
        const { captureSnapshot } = await query(url, CAPTURE, { stepId, payload })
        captured.push((captureSnapshot as { snapshot: object }).snapshot)
      }
      assert.deepEqual(await server.stop(), { code: 0, signal: null })
      assert.equal(server.stderr(), '')
    }
    assert.deepEqual(await livingProcessesOf(folder.path), [])
    await using server = serve()
    const url = await server.waitForUrl()
    for (const [index, [stepId, payload]] of Object.entries({ small: SMALL, large: LARGE }).entries()) {
      const { snapshot } = await query(url, READ, { stepId })
      const { payload: read, ...metadata } = snapshot as { payload: unknown }
      assert.deepEqual(metadata, captured[index])
      assert.deepEqual(read, payload)
    }
    assert.deepEqual(
      captured.map((snapshot) => (snapshot as { storageTier: string }).storageTier),
      ['INLINE', 'OBJECT'],
    )
    assert.deepEqual(await server.stop('SIGINT'), { code: 0, signal: null })
    assert.deepEqual(await livingProcessesOf(folder.path), [])
  })

  it('says that its port is taken, and leaves no database running', async () => {
    const other = createServer()
    await new Promise<void>((resolve) => other.listen(0, '127.0.0.1', resolve))
    const address = other.address()
    const port = typeof address === 'object' && address !== null ? String(address.port) : ''
    await using server = startProcess({ args: ['serve'], env: { PORT: port }, cwd: folder.path })
    assert.deepEqual(await server.exited, { code: 1, signal: null })
    assert.match(server.stderr(), /^PORT is taken/)
    assert.deepEqual(await livingProcessesOf(folder.path), [])
    await new Promise((resolve) => other.close(resolve))
  })

  it('refuses settings that are wrong, all of them at once, before it starts anything', async () => {
    const env = { PORT: 'canary', HOST: '0.0.0.0', SIGNED_URL_SECRET: 'canary', DATABASE_URL: 'canary' }
    await using server = startProcess({ args: ['serve'], env, cwd: folder.path })
    assert.deepEqual(await server.exited, { code: 1, signal: null })
    for (const name of Object.keys(env)) assert.match(server.stderr(), new RegExp(`^ {2}- ${name} `, 'm'))
    assert.doesNotMatch(server.stderr() + server.stdout(), /canary/)
  })
})
