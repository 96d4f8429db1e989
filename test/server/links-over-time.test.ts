import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { capture } from '../support/answers.ts'
import { freshDatabase } from '../support/database.ts'
import { send } from '../support/http.ts'
import { refusalOf } from '../support/put.ts'
import { startServer, type TestServer } from '../support/server.ts'
import { temporaryFolder } from '../support/tmp.ts'

const OLD = 'an old secret of at least 32 bytes!'
const NEW = 'a newer secret of at least 32 bytes'
const MAX_SECONDS = 7200
const START = Date.UTC(2026, 4, 6, 7, 8, 9)
const EXPIRED = { status: 403, code: 'LINK_EXPIRED' }
const INVALID = { status: 403, code: 'LINK_INVALID' }

describe('links to this server, as time goes by', () => {
  const cleanup = new AsyncDisposableStack()
  let clock = START
  let server: TestServer
  let snapshotId: string
  /** Starts the server anew, on the same store and port. */
  let restart: (secrets: string) => Promise<void>

  before(async () => {
    const { url: databaseUrl } = cleanup.use(await freshDatabase())
    const { path: storagePath } = cleanup.use(await temporaryFolder())
    let port = '0'
    restart = async (secrets) => {
      await server?.[Symbol.asyncDispose]()
      const env = { PORT: port, SIGNED_URL_SECRET: secrets, SIGNED_URL_MAX_SECONDS: String(MAX_SECONDS) }
      server = await startServer({ env, store: { databaseUrl, storagePath }, now: () => clock })
      port = new URL(server.url).port
    }
    await restart(OLD)
    cleanup.defer(() => server[Symbol.asyncDispose]())
    snapshotId = (await capture(server, { runId: 'run', stepId: 'step', payload: { a: 1 } })).snapshot.snapshotId
  })
  after(() => cleanup.disposeAsync())

  /** Target of a link that is signed at that many seconds from the start. */
  async function sign(seconds: number, expiresIn: number): Promise<string> {
    clock = START + seconds * 1000
    const query = `{ snapshotById(snapshotId: "${snapshotId}") { download(expiresIn: ${expiresIn}) { url expiresAt } } }`
    // Each on a connection of its own: none is left over from the server before a restart.
    const headers = { 'content-type': 'application/json' }
    const answer = await send(server.url, {
      method: 'POST',
      target: '/graphql',
      headers,
      body: JSON.stringify({ query }),
    })
    const { url, expiresAt } = JSON.parse(answer.body.toString()).data.snapshotById.download
    assert.equal(Date.parse(expiresAt), clock + expiresIn * 1000)
    return url.slice(server.url.length)
  }

  /** What the link gives at that many seconds from the start: null for its payload. */
  async function refusalAt(seconds: number, target: string): Promise<ReturnType<typeof refusalOf> | null> {
    clock = START + seconds * 1000
    const response = await send(server.url, { target })
    return response.status === 200 ? null : refusalOf(response)
  }

  it('end to the millisecond', async () => {
    const target = await sign(0, 60)
    assert.equal(await refusalAt(59.999, target), null)
    assert.deepEqual(await refusalAt(60, target), EXPIRED)
    assert.deepEqual(await refusalAt(61, target), EXPIRED)
  })

  it('may come from an instance whose clock is two minutes ahead, and no more', async () => {
    const target = await sign(120, MAX_SECONDS)
    assert.equal(await refusalAt(0, target), null)
    assert.deepEqual(await refusalAt(-0.001, target), INVALID)
  })

  it('end early by the clock of an instance that is ahead: the end has no allowance', async () => {
    const target = await sign(0, 100)
    assert.deepEqual(await refusalAt(120, target), EXPIRED)
  })

  it('outlive a new secret for as long as the old one is kept beside it, and end with it', async () => {
    await restart(OLD)
    const old = await sign(0, MAX_SECONDS)
    await restart(`${NEW},${OLD}`)
    assert.equal(await refusalAt(MAX_SECONDS - 1, old), null)
    assert.deepEqual(await refusalAt(MAX_SECONDS, old), EXPIRED)
    const recent = await sign(0, MAX_SECONDS)
    const kidOf = (target: string) => /kid=([^&]+)/.exec(target)?.[1]
    assert.notEqual(kidOf(recent), kidOf(old))
    await restart(NEW)
    assert.deepEqual(await refusalAt(1, old), INVALID)
    assert.equal(await refusalAt(1, recent), null)
  })
})
