import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { createClient as createSseClient, type Sink, type Client as SseClient } from 'graphql-sse'
import { createClient as createWsClient, type Client as WsClient } from 'graphql-ws'
import { EventSource } from 'undici'
import { WebSocket } from 'ws'
import { createClient } from '../../src/client/client.ts'
import { freePort } from '../support/broker/host.ts'
import { describeWith } from '../support/describe-with.ts'
import { type Nginx, nginx, startNginx } from '../support/nginx.ts'
import { startProcess } from '../support/process.ts'
import { eventually, put, storedOf } from '../support/put.ts'
import { query } from '../support/rows.ts'
import { startServer } from '../support/server.ts'
import { openStore } from '../support/store.ts'

const QUERY = `subscription($runId: String!, $after: String) {
  runEvents(runId: $runId, after: $after) {
    __typename
    ... on RunUpdated { cursor }
    ... on StepUpdated { cursor }
    ... on SnapshotCaptured { cursor snapshot { snapshotId } }
    ... on CaughtUp { cursor }
    ... on RunEnded { cursor }
  }
}`

interface Result {
  readonly data?: {
    readonly runEvents: { readonly cursor: string; readonly snapshot?: { readonly snapshotId: string } }
  }
}

/** Ids of the snapshots that a client was told of, once the run has ended. */
type Told = Promise<Set<string>>

/** Subscribes as a client of others does, which keeps the cursor in its variables. */
function collect(subscribe: (variables: object, sink: Sink<Result>) => unknown): Told {
  const over = Promise.withResolvers<Set<string>>()
  const variables: { runId: string; after?: string } = { runId: 'r' }
  subscribe(variables, createSink(variables, over))
  return over.promise
}

function createSink(variables: { after?: string }, over: PromiseWithResolvers<Set<string>>) {
  const told = new Set<string>()
  return {
    next({ data }: object & Result) {
      if (!data) return
      variables.after = data.runEvents.cursor
      if (data.runEvents.snapshot) told.add(data.runEvents.snapshot.snapshotId)
    },
    error: over.reject,
    complete: () => over.resolve(told),
  }
}

function subscribeBy(client: SseClient | WsClient, variables: object, sink: Sink<Result>): void {
  client.subscribe({ query: QUERY, variables: variables as Record<string, unknown> }, sink)
}

/** Every kind of client, as published, that never gives up. */
function watchWithAll([url, wsUrl]: readonly [string, string], cleanup: AsyncDisposableStack): readonly Told[] {
  const retry = () => delay(200)
  const sse = createSseClient({ url: `${url}/graphql`, retryAttempts: 1000, retry })
  const ws = createWsClient({
    url: wsUrl,
    webSocketImpl: WebSocket,
    retryAttempts: 1000,
    retryWait: retry,
    shouldRetry: () => true,
  })
  const over = new AbortController()
  cleanup.defer(async () => {
    over.abort()
    sse.dispose()
    await ws.dispose()
  })
  const own = async () => {
    const told = new Set<string>()
    for await (const event of createClient({ url }).watchRun('r', { signal: over.signal })) {
      if (event.type !== 'SnapshotCaptured') continue
      assert.ok(!told.has(event.snapshot.snapshotId), 'told twice')
      told.add(event.snapshot.snapshotId)
    }
    return told
  }
  return [
    collect((variables, sink) =>
      sse.subscribe({ query: QUERY, variables: variables as Record<string, unknown> }, sink),
    ),
    collect((variables, sink) => ws.subscribe({ query: QUERY, variables: variables as Record<string, unknown> }, sink)),
    own(),
  ]
}

const NGINX_WAITS_MILLIS = 1000

/** With nothing set but what WebSockets need. */
const proxyTo = (program: Nginx, port: number, server: number) =>
  startNginx(
    program,
    port,
    `map $http_upgrade $upgrade_or_not { default upgrade; '' ''; }
    server {
      listen 127.0.0.1:${port};
      location / {
        proxy_pass http://127.0.0.1:${server};
        proxy_read_timeout ${NGINX_WAITS_MILLIS}ms;
      }
      location /ws/ {
        proxy_pass http://127.0.0.1:${server}/;
        proxy_read_timeout ${NGINX_WAITS_MILLIS}ms;
        proxy_http_version 1.1;
        proxy_set_header Upgrade $http_upgrade;
        proxy_set_header Connection $upgrade_or_not;
      }
    }`,
  )

await describeWith('events through nginx with its default buffering', nginx, (program) => {
  it('reach every client, each once in the end, though the server is killed in mid-stream', async () => {
    await using store = await openStore()
    const port = await freePort()
    const proxyPort = await freePort()
    const env = {
      PORT: String(port),
      DATABASE_URL: store.databaseUrl,
      SNAPSHOT_STORAGE_PATH: store.storagePath,
    }
    const serve = async () => {
      const server = startProcess({ args: ['serve'], env })
      await server.waitForLine(/listening/)
      return server
    }
    await using _proxy = await proxyTo(program, proxyPort, port)
    const first = await serve()
    const direct = `127.0.0.1:${port}`
    const proxied = `127.0.0.1:${proxyPort}`
    await using cleanup = new AsyncDisposableStack()
    const clients = [
      watchWithAll([`http://${direct}`, `ws://${direct}/graphql`], cleanup),
      watchWithAll([`http://${proxied}`, `ws://${proxied}/ws/graphql`], cleanup),
    ].flat()
    for (const told of clients) told.catch(() => {})
    const writer = store.writer({}, { inlineMaxBytes: 1024 })
    const capture = async (from: number, to: number) => {
      for (let i = from; i < to; i++)
        await writer.capture({ runId: 'r', stepId: `s${i % 7}` }, Buffer.from(`{"i":${i}}`))
    }
    await capture(0, 40)
    await first.stop('SIGKILL')
    const [second] = await Promise.all([serve(), capture(40, 80)])
    await using _second = second
    await capture(80, 120)
    await writer.upsertRun({ runId: 'r', status: 'SUCCEEDED' })
    const rows = await query<{ id: string }>(store.databaseUrl, 'select id from state_snapshots')
    const all = rows.map(({ id }) => id).toSorted()
    assert.equal(all.length, 120)
    for (const told of await Promise.all(clients)) assert.deepEqual([...told].toSorted(), all)
  })

  it('stay open while nothing happens for longer than nginx waits', async () => {
    await using server = await startServer({ streams: { keepAliveMillis: 300 } })
    const proxyPort = await freePort()
    await using _proxy = await proxyTo(program, proxyPort, server.port)
    let connections = 0
    const connecting = () => {
      connections += 1
    }
    const sse = createSseClient({ url: `http://127.0.0.1:${proxyPort}/graphql`, on: { connecting } })
    const url = `ws://127.0.0.1:${proxyPort}/ws/graphql`
    const ws = createWsClient({ url, webSocketImpl: WebSocket, on: { connecting } })
    const told = [sse, ws].map((client) => collect((variables, sink) => subscribeBy(client, variables, sink)))
    await delay(3 * NGINX_WAITS_MILLIS)
    await put(server.url, '1', { runId: 'r' })
    await server.graphql('mutation { upsertRun(input: { runId: "r", status: FAILED }) { runId } }')
    assert.deepEqual(
      (await Promise.all(told)).map(({ size }) => size),
      [1, 1],
    )
    assert.equal(connections, 2)
    await ws.dispose()
  })
})

/** Opens a stream by hand. @returns its text so far, and all of it. */
async function openStream(url: string, runId: string) {
  const body = JSON.stringify({ query: QUERY, variables: { runId } })
  const headers = { 'content-type': 'application/json', accept: 'text/event-stream' }
  const response = await fetch(`${url}/graphql`, { method: 'POST', headers, body })
  assert.equal(response.status, 200)
  const stream = { text: '', ended: Promise.resolve() }
  stream.ended = (async () => {
    for await (const chunk of response.body ?? []) stream.text += Buffer.from(chunk).toString()
  })()
  return stream
}

describe('serve with subscriptions open', () => {
  it('stops as soon as it is told to, and ends none of them with complete', async () => {
    await using store = await openStore()
    const env = { PORT: '0', DATABASE_URL: store.databaseUrl, SNAPSHOT_STORAGE_PATH: store.storagePath }
    await using server = startProcess({ args: ['serve'], env })
    const url = await server.waitForUrl()
    const streams = await Promise.all(Array.from({ length: 5 }, () => openStream(url, 'r')))
    await eventually(async () => assert.ok(streams.every(({ text }) => text.includes('CaughtUp'))))
    const socket = new WebSocket(`${url.replace('http', 'ws')}/graphql`, 'graphql-transport-ws')
    const closed = new Promise<number>((resolve) => socket.once('close', resolve))
    const ready = new Promise((resolve) => socket.once('message', resolve))
    socket.once('open', () => socket.send('{"type":"connection_init"}'))
    await ready
    const began = performance.now()
    assert.deepEqual(await server.stop('SIGINT'), { code: 0, signal: null })
    assert.ok(performance.now() - began < 5000)
    await Promise.all(streams.map(({ ended }) => ended))
    assert.ok(streams.every(({ text }) => !text.includes('complete')))
    assert.equal(await closed, 1001)
  })
})

describe('a stream that grows old', () => {
  it('is come back to by EventSource, behind the last event that it had', async () => {
    await using server = await startServer({ streams: { ageMillis: 500, keepAliveMillis: 300 } })
    const first = storedOf(await put(server.url, '1', { runId: 'r' }))
    const told: string[] = []
    const text = QUERY.replace('($runId: String!, $after: String)', '').replace('$runId, after: $after', '"r"')
    const events = new EventSource(`${server.url}/graphql?query=${encodeURIComponent(text)}`)
    let opened = 0
    events.onopen = () => {
      opened += 1
    }
    events.addEventListener('next', (event) => {
      const { data: result }: Result = JSON.parse((event as MessageEvent<string>).data)
      if (result?.runEvents.snapshot) told.push(result.runEvents.snapshot.snapshotId)
    })
    const completed = new Promise((resolve) => events.addEventListener('complete', resolve))
    await eventually(async () => assert.deepEqual(told, [first.snapshotId]))
    await eventually(async () => assert.ok(opened >= 2))
    const second = storedOf(await put(server.url, '2', { runId: 'r' }))
    await server.graphql('mutation { upsertRun(input: { runId: "r", status: FAILED }) { runId } }')
    await completed
    events.close()
    assert.deepEqual(told, [first.snapshotId, second.snapshotId])
  })
})
