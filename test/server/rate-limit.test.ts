import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer, type IncomingMessage } from 'node:http'
import { describe, it } from 'node:test'
import { ANYONE, type Viewer } from '../../src/auth/viewer.ts'
import { createRateLimit } from '../../src/server/rate-limit.ts'
import type { RequestContext } from '../../src/server/request.ts'
import { send } from '../support/http.ts'
import { put } from '../support/put.ts'
import { startServer } from '../support/server.ts'

describe('how much a viewer may ask for', () => {
  it('is so many requests, and so many again with time, each viewer by himself', async () => {
    let now = 0
    const limit = createRateLimit({ perMinute: 3, now: () => now })
    const holder = (name: string): Viewer => ({ ...ANYONE, name, mode: 'token' })
    const server = createServer((request: IncomingMessage, response) => {
      const name = (request.url ?? '').slice(1)
      try {
        limit({ viewer: name === '' ? ANYONE : holder(name), request, response } as unknown as RequestContext)
      } catch {
        response.statusCode = 429
      }
      response.end()
    }).listen(0, '127.0.0.1')
    await once(server, 'listening')
    const { port } = server.address() as { port: number }
    const ask = async (name: string) => {
      const { status, headers } = await send(`http://127.0.0.1:${port}`, { target: `/${name}` })
      return [status, headers['retry-after']]
    }
    for (const name of ['a', 'b', '']) {
      for (let i = 0; i < 3; i++) assert.deepEqual(await ask(name), [200, undefined], name)
      assert.deepEqual(await ask(name), [429, '20'], name)
    }
    now += 20_000
    assert.deepEqual(
      [await ask('a'), await ask('a')],
      [
        [200, undefined],
        [429, '20'],
      ],
    )
    server.close()
  })

  it('counts what was sent, is told with a code and a time, and leaves health alone', async () => {
    await using server = await startServer({ env: { RATE_LIMIT_PER_MINUTE: '6' } })
    const { headers } = await put(server.url, JSON.stringify('x'.repeat(3_500_000)))
    const target = String(headers.location)
    assert.equal((await send(server.url, { target })).status, 200)
    // Two requests and 3 MiB of an answer; one is left.
    assert.equal((await send(server.url, { target: '/graphql?query={__typename}' })).status, 200)
    const limited = await send(server.url, { target: '/graphql?query={__typename}' })
    assert.equal(limited.status, 429)
    assert.equal(JSON.parse(limited.body.toString()).errors[0].extensions.code, 'RATE_LIMITED')
    assert.ok(Number(limited.headers['retry-after']) >= 1)
    for (let i = 0; i < 10; i++) assert.equal((await send(server.url, { target: '/health/live' })).status, 200)
  })
})
