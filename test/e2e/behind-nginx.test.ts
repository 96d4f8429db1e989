import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { it } from 'node:test'
import { freePort } from '../support/broker/host.ts'
import { describeWith } from '../support/describe-with.ts'
import { type PlainRequest, send } from '../support/http.ts'
import { type Nginx, nginx, startNginx } from '../support/nginx.ts'
import { graphqlAt, startServer } from '../support/server.ts'

/** The server behind nginx, which knows it by the path `/states`. */
async function startBehind(program: Nginx, httpFor: (ports: { port: number; server: number }) => string) {
  await using cleanup = new AsyncDisposableStack()
  const port = await freePort()
  const origin = `http://127.0.0.1:${port}`
  const server = cleanup.use(await startServer({ env: { PUBLIC_URL: `${origin}/states` } }))
  cleanup.use(await startNginx(program, port, httpFor({ port, server: server.port })))
  const owned = cleanup.move()
  return { origin, [Symbol.asyncDispose]: () => owned.disposeAsync() }
}

function capture(runId: string, body: string | Buffer = '[1.0]', stepId = 's'): PlainRequest {
  const target = `/states/runs/${encodeURIComponent(runId)}/steps/${encodeURIComponent(stepId)}/snapshot`
  return { method: 'PUT', target, body, headers: { 'content-type': 'application/json' } }
}

const AWKWARD = ['plain', 'team/nightly run', 'a//b', '/', 'a/steps/b', 'a%2Fb', '../up', 'é?#+&']

await describeWith('behind nginx', nginx, (program) => {
  it('as the documentation has it: every id, large states, links and GraphQL', async () => {
    const docs = await readFile(new URL('../../docs/operations.md', import.meta.url), 'utf8')
    const block = /```nginx\n(.*?)```/s.exec(docs)?.[1] ?? assert.fail('no block')
    await using proxy = await startBehind(program, ({ port, server }) =>
      block.replace('127.0.0.1:4000', `127.0.0.1:${server}`).replace('listen 80', `listen 127.0.0.1:${port}`),
    )
    for (const runId of AWKWARD) {
      const stored = await send(proxy.origin, capture(runId))
      assert.deepEqual([stored.status, JSON.parse(stored.body.toString()).runId], [201, runId])
      const back = await send(proxy.origin, { target: stored.headers.location ?? '' })
      assert.equal(back.body.toString(), '[1.0]', runId)
    }
    const large = Buffer.from(JSON.stringify({ text: 'x'.repeat(3_000_000) }))
    assert.equal((await send(proxy.origin, capture('large', large))).status, 201)
    const { data } = await graphqlAt(`${proxy.origin}/states`)<{ snapshot: { download: { url: string } } }>(
      '{ snapshot(runId: "large", stepId: "s") { download { url } } }',
    )
    assert.ok(data.snapshot.download.url.startsWith(`${proxy.origin}/states/`))
    assert.ok(large.equals(Buffer.from(await (await fetch(data.snapshot.download.url)).arrayBuffer())))
  })

  it('with the path taken off and slashes decoded: ids are found wherever they can be told apart', async () => {
    await using proxy = await startBehind(
      program,
      ({ port, server }) => `server {
        listen 127.0.0.1:${port};
        location /states/ { proxy_pass http://127.0.0.1:${server}/; }
      }`,
    )
    for (const [runId, stepId] of [
      ['team/nightly run', 's'],
      ['a/b', 'c/d é%2F'],
      ['steps', 'steps'],
    ] as const) {
      const { status, body } = await send(proxy.origin, capture(runId, '1', stepId))
      const stored = JSON.parse(body.toString())
      assert.deepEqual([status, stored.runId, stored.stepId], [201, runId, stepId])
    }
    const { status, body } = await send(proxy.origin, capture('a/steps/b'))
    assert.deepEqual([status, JSON.parse(body.toString()).code], [400, 'BAD_REQUEST'])
  })
})
