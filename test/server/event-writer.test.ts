import assert from 'node:assert/strict'
import { once } from 'node:events'
import { get, type IncomingMessage, request } from 'node:http'
import { connect } from 'node:net'
import { describe, it } from 'node:test'
import { createClient } from 'graphql-sse'
import { AppError } from '../../src/errors.ts'
import { createLogger } from '../../src/log.ts'
import { codesOf, send } from '../support/http.ts'
import { frameOf, type LiveFront, serveLive } from '../support/live-front.ts'
import { eventually } from '../support/put.ts'

const EVENTS = { accept: 'text/event-stream' }
const QUERY = 'subscription($after: String) { runEvents(runId: "r", after: $after) { __typename } }'
const TARGET = `/graphql?query=${encodeURIComponent(QUERY)}`

/** The answer of a subscription, as far as its head, on a connection of its own. */
async function openByPost(url: string, headers: Record<string, string> = {}): Promise<IncomingMessage> {
  const asked = request(`${url}/graphql`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...EVENTS, ...headers },
    agent: false,
  })
  asked.end(JSON.stringify({ query: QUERY }))
  const [response] = await once(asked, 'response')
  return response.setEncoding('utf8')
}

/** Text up to and with the given one. */
async function readUntil(response: IncomingMessage, end: string): Promise<string> {
  let text = ''
  for (;;) {
    text += response.read() ?? ''
    if (text.endsWith(end)) return text
    await once(response, 'readable')
  }
}

const readAll = async (response: IncomingMessage) => (await response.toArray()).join('')

/** A client as it is published, quicker to come back. */
const sseClient = (front: LiveFront) =>
  createClient({ url: `${front.url}/graphql`, retry: () => new Promise((resolve) => setTimeout(resolve, 20)) })

describe('a stream of events', () => {
  it('has its head at once, then a comment and the time to wait before the next attempt', async () => {
    await using front = await serveLive()
    const response = await openByPost(front.url, { 'accept-encoding': 'gzip, br' })
    assert.equal(response.statusCode, 200)
    assert.equal(response.headers['content-type'], 'text/event-stream; charset=utf-8')
    assert.equal(response.headers['cache-control'], 'no-cache, no-transform')
    assert.equal(response.headers['x-accel-buffering'], 'no')
    assert.equal(response.headers['content-encoding'], undefined)
    assert.match(await readUntil(response, '\n\n'), /^: .*\nretry: 2000\n\n$/)
    response.destroy()
  })

  it('is a cursor, an event and one line of data for each frame, and complete behind the last', async () => {
    await using front = await serveLive()
    const response = await openByPost(front.url)
    await readUntil(response, 'retry: 2000\n\n')
    const stream = await front.subscribed()
    stream.send(frameOf('c1', 1))
    assert.equal(await readUntil(response, '}\n\n'), 'id: c1\nevent: next\ndata: {"data":{"runEvents":1}}\n\n')
    stream.send(frameOf('c2', 'é', true))
    assert.equal(
      await readAll(response),
      'id: c2\nevent: next\ndata: {"data":{"runEvents":"é"}}\n\nevent: complete\ndata:\n\n',
    )
    assert.equal(stream.isOpen, false)
  })

  it('ends without complete when the server lets go of it, grows old or stops', async () => {
    await using old = await serveLive({ ageMillis: 100, keepAliveMillis: 150 })
    assert.doesNotMatch(await readAll(await openByPost(old.url)), /complete/)
    await using front = await serveLive()
    const first = await openByPost(front.url)
    const stream = await front.subscribed()
    stream.end()
    assert.doesNotMatch(await readAll(first), /complete/)
    const second = await openByPost(front.url)
    await front.subscribed()
    front.drain()
    assert.doesNotMatch(await readAll(second), /complete/)
    // A browser that is refused never comes back: whoever comes to the wrong server ends at once.
    const third = await openByPost(front.url)
    assert.equal(third.statusCode, 200)
    assert.doesNotMatch(await readAll(third), /complete/)
    await eventually(async () => assert.ok(front.streams.every(({ isOpen }) => !isOpen)))
  })

  it('says something while nothing happens', async () => {
    await using front = await serveLive({ keepAliveMillis: 60 })
    const response = await openByPost(front.url)
    await readUntil(response, 'retry: 2000\n\n')
    assert.equal(await readUntil(response, ':\n\n:\n\n'), ':\n\n:\n\n')
    response.destroy()
  })

  it('goes by GET too, where a query would, and after what Last-Event-ID says', async () => {
    await using front = await serveLive()
    const [response] = await once(
      get(front.url + TARGET, { headers: { ...EVENTS, 'last-event-id': 'c7' } }),
      'response',
    )
    assert.equal((await front.subscribed()).after, 'c7')
    response.destroy()
    const foreign = { ...EVENTS, 'sec-fetch-site': 'cross-site' }
    const refused = await send(front.url, { target: TARGET, headers: foreign })
    assert.deepEqual([refused.status, codesOf(refused)], [403, ['FORBIDDEN']])
    const head = await send(front.url, { method: 'HEAD', target: TARGET, headers: EVENTS })
    assert.equal(head.status, 400)
  })

  it('is the only answer of a subscription', async () => {
    await using front = await serveLive()
    const refused = await send(front.url, {
      method: 'POST',
      target: '/graphql',
      headers: { 'content-type': 'application/json', accept: 'application/json' },
      body: JSON.stringify({ query: QUERY }),
    })
    assert.deepEqual([refused.status, codesOf(refused)], [406, ['BAD_REQUEST']])
  })

  it('has one line in the log, when it is over', async () => {
    const lines: Record<string, unknown>[] = []
    const log = createLogger({ output: { write: (line) => void lines.push(JSON.parse(line)) } })
    await using front = await serveLive({ log })
    const response = await openByPost(front.url)
    const stream = await front.subscribed()
    assert.deepEqual(lines, [])
    stream.send(frameOf('c1', 1, true))
    await readAll(response)
    await eventually(async () => assert.equal(lines.length, 1))
    const [line] = lines
    assert.deepEqual([line?.['msg'], line?.['status'], line?.['isCut']], ['request', 200, undefined])
  })
})

describe('what refuses a subscription', () => {
  it('is an event and complete; a failure that passes is a status, after which clients come back', async () => {
    let failure: AppError | undefined = new AppError('BAD_REQUEST', 'No such cursor')
    await using front = await serveLive({ refuse: () => failure })
    const answer = await readAll(await openByPost(front.url))
    assert.match(answer, /\n\nevent: next\ndata: \{"errors":\[.*"BAD_REQUEST".*\n\nevent: complete\ndata:\n\n$/)
    failure = new AppError('DATABASE_UNAVAILABLE', 'No database')
    const response = await openByPost(front.url)
    assert.deepEqual([response.statusCode, response.headers['retry-after']], [503, '1'])
    response.resume()
    const results: unknown[] = []
    const events = sseClient(front).iterate({ query: QUERY })
    const reading = (async () => {
      for await (const result of events) results.push(result)
    })()
    failure = undefined
    ;(await front.subscribed()).send(frameOf('c1', 1, true))
    await reading
    assert.equal(results.length, 1)
  })

  it('is OVERLOADED for one stream more than there may be, of all or of one viewer, until another ends', async () => {
    for (const limits of [{ streamsMax: 2 }, { perViewerMax: 2 }]) {
      await using front = await serveLive(limits)
      const [first] = await Promise.all([openByPost(front.url), openByPost(front.url)])
      const refused = await openByPost(front.url)
      assert.deepEqual([refused.statusCode, refused.headers['retry-after']], [503, '1'])
      assert.match(await readAll(refused), /"OVERLOADED"/)
      first.destroy()
      await eventually(async () => assert.equal((await openByPost(front.url)).statusCode, 200))
    }
  })
})

describe('a client that has gone', () => {
  it('leaves no iterator behind, though nothing happens: 300 of them within a second', async () => {
    await using front = await serveLive({ perViewerMax: 1000 })
    const responses = await Promise.all(Array.from({ length: 300 }, () => openByPost(front.url)))
    assert.equal(front.streams.filter(({ isOpen }) => isOpen).length, 300)
    const before = performance.now()
    for (const response of responses) response.destroy()
    await Promise.all(front.streams.map(({ ended }) => ended))
    assert.ok(performance.now() - before < 1000)
  })

  it('that takes nothing is cut after a while, and what was not taken is not read ahead', async () => {
    await using front = await serveLive({ stallMillis: 1000 })
    const { port } = new URL(front.url)
    const socket = connect(Number(port), '127.0.0.1')
    socket.write(`GET ${TARGET} HTTP/1.1\r\nhost: localhost\r\naccept: text/event-stream\r\n\r\n`)
    socket.pause()
    socket.on('error', () => {})
    const stream = await front.subscribed()
    const large = frameOf('c', 'x'.repeat(1_048_576))
    for (let i = 0; i < 100; i++) stream.send(large)
    await stream.ended
    assert.ok(stream.taken < 50, `${stream.taken} MiB`)
    socket.destroy()
  })
})

describe('graphql-sse as it is published', () => {
  it('comes back with the cursor that it sets in its variables', async () => {
    await using front = await serveLive()
    const variables: { after?: string } = {}
    const seen: unknown[] = []
    const over = Promise.withResolvers<void>()
    const client = sseClient(front)
    client.subscribe<Record<string, unknown>>(
      { query: QUERY, variables },
      {
        next({ data }) {
          seen.push(data?.['runEvents'])
          variables.after = `c${data?.['runEvents']}`
        },
        error: over.reject,
        complete: over.resolve,
      },
    )
    const first = await front.subscribed()
    assert.equal(first.after, undefined)
    first.send(frameOf('c1', 1))
    await eventually(async () => assert.deepEqual(seen, [1]))
    first.end()
    const second = await front.subscribed()
    assert.equal(second.after, 'c1')
    second.send(frameOf('c2', 2, true))
    await over.promise
    assert.deepEqual(seen, [1, 2])
    client.dispose()
  })
})
