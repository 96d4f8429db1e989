import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer, get, type IncomingMessage } from 'node:http'
import { type AddressInfo, connect } from 'node:net'
import { Readable } from 'node:stream'
import { buffer } from 'node:stream/consumers'
import { describe, it } from 'node:test'
import { setImmediate } from 'node:timers/promises'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { type ExecutionResult, GraphQLError } from 'graphql'
import { AppError } from '../../src/errors.ts'
import { createErrorMask } from '../../src/graphql/mask-error.ts'
import { type LazyJson, rawJson } from '../../src/graphql/raw-json.ts'
import { sendAnswer } from '../../src/server/answer.ts'
import { type PlainResponse, send } from '../support/http.ts'

const PLACEHOLDER = '"3f0e6b0a-5c3c-4f0e-9b8e-3d8c5a7f1e2d0:'

/** A server that gives one answer after the other, each to the next request. */
async function serve(results: readonly ExecutionResult[]) {
  const seen = { failures: [] as unknown[] }
  const options = {
    status: 200,
    headers: { 'content-type': 'application/json; charset=utf-8' },
    maskError: createErrorMask(() => {}),
  }
  const rest = [...results]
  const ended = Promise.withResolvers<void>()
  const closed = Promise.withResolvers<void>()
  const server = createServer((_request, response) => {
    response.once('close', closed.resolve)
    sendAnswer(response, rest.shift() ?? {}, options)
      .catch((error) => {
        seen.failures.push(error)
        response.destroy()
      })
      .finally(ended.resolve)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  const close = () => {
    server.closeAllConnections()
    server.close()
  }
  return {
    seen,
    port,
    url: `http://127.0.0.1:${port}`,
    ended: ended.promise,
    closed: closed.promise,
    [Symbol.dispose]: close,
  }
}

interface Stored extends LazyJson {
  opened: number
  /** Opened, and not let go of yet. */
  held: number
  /** What it was opened as. */
  readonly bodies: Readable[]
}

/** A payload that is opened when its turn comes. */
function stored(bytes: Buffer | string, at: string, open?: () => Promise<Readable | Buffer>): Stored {
  const whole = Buffer.from(bytes)
  const lazy: Stored = {
    sizeBytes: whole.length,
    opened: 0,
    held: 0,
    bodies: [],
    nodes: [],
    path: [at, 'payload'],
    async open() {
      lazy.opened++
      const body = (await open?.()) ?? Readable.from([whole.subarray(0, 5), whole.subarray(5)], { objectMode: false })
      if (!Buffer.isBuffer(body)) lazy.bodies.push(body)
      lazy.held++
      return { sizeBytes: whole.length, body, release: () => lazy.held-- }
    },
  }
  return lazy
}

/** One that is not opened with others. */
function large(at: string, open: () => Promise<Readable | Buffer>): Stored {
  return { ...stored('', at, open), sizeBytes: 1_000_000 }
}

/** A body of which so many bytes come, and then nothing more until it is destroyed. */
function endless(sizeBytes: number): Readable {
  let sent = false
  return new Readable({
    read() {
      if (!sent) this.push(Buffer.alloc(sizeBytes, ' '))
      sent = true
    },
  })
}

const ask = ({ url }: { readonly url: string }) => send(url, { target: '/' })
const textOf = ({ body }: PlainResponse) => body.toString()
const missing = async () => Promise.reject(new AppError('OBJECT_MISSING', 'gone'))
const dataOf = (...sources: readonly Stored[]) =>
  Object.fromEntries(sources.map((source, index) => [`p${index}`, { payload: rawJson(source) }]))

async function answerTo(url: string): Promise<IncomingMessage> {
  const [answer] = await once(get(url, { agent: false }), 'response')
  return answer
}

/** Whether the answer came to a clean end. */
async function isWhole(answer: IncomingMessage): Promise<boolean> {
  return await buffer(answer).then(
    () => answer.complete,
    () => false,
  )
}

describe('an answer', () => {
  it('tells its exact length, with one payload that is streamed and with none', async () => {
    const data = (payload: Stored | Buffer | string) => ({
      text: 'ü🙂',
      notes: rawJson('{"ü": 1.0}'),
      step: { payload: rawJson(payload), after: '🙂' },
    })
    const bytes = '{"text" : "🙂", "n": 1e2}'
    using server = await serve([
      { data: data(bytes) },
      { data: data(Buffer.from(bytes)) },
      { data: data(stored(bytes, 'step')) },
      { data: data(stored(bytes, 'step', async () => Buffer.from(bytes))) },
      { data: data(stored('', 'step', missing)) },
    ])
    for (let index = 0; index < 4; index++) {
      const answer = await ask(server)
      assert.equal(
        textOf(answer),
        `{"data":{"text":"ü🙂","notes":{"ü": 1.0},"step":{"payload":${bytes},"after":"🙂"}}}`,
      )
      assert.equal(answer.headers['content-length'], String(answer.body.length))
      assert.equal(answer.headers['transfer-encoding'], undefined)
    }
    const failed = await ask(server)
    assert.equal(failed.headers['content-length'], String(failed.body.length))
    const error = '{"message":"gone","path":["step","payload"],"extensions":{"code":"OBJECT_MISSING"}}'
    assert.ok(textOf(failed).endsWith(`"step":{"payload":null,"after":"🙂"}},"errors":[${error}]}`))
    assert.deepEqual(server.seen.failures, [])
  })

  it('puts null and one error in the place of each payload that cannot be opened, after the errors of before', async () => {
    const sources = ['one', 'two', 'three', 'four'].map((name, index) =>
      stored(`["${name}"]`, `p${index}`, index % 2 ? missing : undefined),
    )
    const before = new GraphQLError('before', { path: ['x'], extensions: { code: 'BAD_REQUEST' } })
    using server = await serve([{ data: { x: null, ...dataOf(...sources) }, errors: [before] }])
    const answer = await ask(server)
    assert.equal(answer.headers['transfer-encoding'], 'chunked')
    assert.match(textOf(answer), /^\{"data":.*\},"errors":\[.*\]\}$/)
    const { data, errors } = JSON.parse(textOf(answer))
    const payloads = [['one'], null, ['three'], null].map((payload, index) => [`p${index}`, { payload }])
    assert.deepEqual(data, { x: null, ...Object.fromEntries(payloads) })
    assert.deepEqual(
      errors.map(({ path }: GraphQLError) => path),
      [['x'], ['p1', 'payload'], ['p3', 'payload']],
    )
  })

  it('tells its length to a peer of HTTP/1.0 too, and fills it with spaces', async () => {
    const long = `"${'x'.repeat(200_000)}"`
    const unknown: Stored = { ...stored('"4"', 'p1'), sizeBytes: null }
    using server = await serve([
      { data: dataOf(stored('"1"', 'p0'), stored('"2"', 'p1')) },
      { data: dataOf(stored('"1"', 'p0'), stored(long, 'p1', missing), stored('"3"', 'p2', missing)) },
      { data: dataOf(stored('"1"', 'p0'), unknown) },
    ])
    const ask10 = async () => {
      const socket = connect(server.port, '127.0.0.1')
      socket.write('GET / HTTP/1.0\r\n\r\n')
      const [head = '', body = ''] = (await buffer(socket)).toString().split('\r\n\r\n')
      const [, length] = /^content-length: (\d+)$/im.exec(head) ?? []
      assert.doesNotMatch(head, /chunked/)
      const { data, errors = [] } = JSON.parse(body)
      return [data, errors.length, length === undefined ? undefined : Number(length) - body.length]
    }
    const values = (...payloads: (string | null)[]) =>
      Object.fromEntries(payloads.map((payload, index) => [`p${index}`, { payload }]))
    assert.deepEqual(await ask10(), [values('1', '2'), 0, 0])
    assert.deepEqual(await ask10(), [values('1', null, null), 2, 0])
    assert.deepEqual(await ask10(), [values('1', '4'), 0, undefined])
    assert.deepEqual(server.seen.failures, [])
  })

  it('has text in it that looks like the place of a payload, and stays what it is', async () => {
    const text = `${PLACEHOLDER} ${PLACEHOLDER}1:"`
    const payloads = [JSON.stringify(text), JSON.stringify({ [text]: text })]
    const [first, second] = payloads.map((payload, index) => stored(payload, `p${index}`)) as [Stored, Stored]
    const data = {
      [text]: text,
      a: rawJson(first),
      b: text,
      c: rawJson(Buffer.from(payloads[1] ?? '')),
      d: rawJson(second),
    }
    using server = await serve([{ data }])
    const [one, two] = payloads.map((payload) => JSON.parse(payload))
    assert.deepEqual(JSON.parse(textOf(await ask(server))), { data: { [text]: text, a: one, b: text, c: two, d: two } })
  })

  it('opens two large payloads at a time, each once, in their order', async () => {
    const order: number[] = []
    let open = 0
    let most = 0
    const sources = Array.from({ length: 20 }, (_, index) =>
      large(`p${index}`, async () => {
        order.push(index)
        most = Math.max(most, ++open)
        await setImmediate()
        const body = Readable.from([Buffer.from('"pay'), Buffer.from('load"')], { objectMode: false })
        return body.once('end', () => open--)
      }),
    )
    using server = await serve([{ data: dataOf(...sources) }])
    assert.equal((await ask(server)).status, 200)
    assert.deepEqual(order, [...sources.keys()])
    assert.equal(most, 2)
  })

  it('does not keep the bytes that were sent', async () => {
    setFlagsFromString('--expose-gc')
    const collect = runInNewContext('gc')
    const payloads: WeakRef<Buffer>[] = []
    let kept = 0
    const sources = Array.from({ length: 30 }, (_, index) =>
      large(`p${index}`, async () => {
        await setImmediate()
        collect()
        kept = Math.max(kept, payloads.filter((payload) => payload.deref()).length)
        const bytes = Buffer.from(`"${'x'.repeat(1_000_000)}"`)
        payloads.push(new WeakRef(bytes))
        return bytes
      }),
    )
    using server = await serve([{ data: dataOf(...sources) }])
    assert.ok((await ask(server)).body.length > 30_000_000)
    assert.ok(kept <= 5, `${kept} are kept`)
  })

  it('D4: has null and OVERLOADED in place of a payload that no place is free for, and all the rest', async () => {
    const full = stored('', 'p1', async () => Promise.reject(new AppError('OVERLOADED', 'full')))
    using server = await serve([{ data: dataOf(stored('"1"', 'p0'), full, stored('"3"', 'p2')) }])
    const { data, errors } = JSON.parse(textOf(await ask(server)))
    assert.deepEqual(data, { p0: { payload: '1' }, p1: { payload: null }, p2: { payload: '3' } })
    assert.deepEqual(errors, [
      { message: 'full', path: ['p1', 'payload'], extensions: { code: 'OVERLOADED', retryable: true } },
    ])
  })

  it('is not copied when much of it is at hand, and waits for its client', async () => {
    const bytes = Buffer.alloc(1_000_000, '7')
    const data = Object.fromEntries(Array.from({ length: 40 }, (_, index) => [`p${index}`, rawJson(bytes)]))
    using server = await serve([{ data }])
    const answer = await answerTo(server.url)
    await once(answer, 'readable')
    let isEnded = false
    server.ended.then(() => {
      isEnded = true
    })
    await setImmediate()
    assert.equal(isEnded, false, 'most of it has not left')
    const body = await buffer(answer)
    assert.equal(body.length, Number(answer.headers['content-length']))
    assert.equal(body.toString(), `{"data":{${Object.keys(data).map((name) => `"${name}":${bytes}`)}}}`)
    await server.ended
  })

  it('S5: opens small payloads several at a time, and never all of them', async () => {
    let open = 0
    let most = 0
    const sources = Array.from({ length: 40 }, (_, index) =>
      stored(`"${index}"`, `p${index}`, async () => {
        open += 1
        most = Math.max(most, open)
        await setImmediate()
        open -= 1
        return Buffer.from(`"${index}"`)
      }),
    )
    using server = await serve([{ data: dataOf(...sources) }])
    const { data } = JSON.parse(textOf(await ask(server)))
    assert.deepEqual(
      Object.values(data),
      sources.map((_, index) => ({ payload: String(index) })),
    )
    assert.ok(most > 2 && most <= 8, `${most} at once`)
  })

  it('leaves its connection good for the next one', async () => {
    const many = { data: dataOf(stored('"1"', 'p0'), stored('"2"', 'p1')) }
    using server = await serve([many, { data: dataOf(stored('"3"', 'p0')) }, { data: { a: 4 } }, many])
    const socket = connect(server.port, '127.0.0.1')
    const request = (last = '') => `GET / HTTP/1.1\r\nhost: x\r\n${last}\r\n`
    socket.write(request() + request() + request('connection: close\r\n'))
    const text = Buffer.concat(await socket.toArray()).toString()
    assert.equal(text.match(/HTTP\/1\.1 200/g)?.length, 3)
    assert.ok(text.endsWith('{"data":{"a":4}}'))
    assert.ok(text.includes('{"data":{"p0":{"payload":"3"}}}'))
  })
})

describe('an answer that breaks', () => {
  /** Comes in part, then fails. */
  function broken(): Readable {
    async function* some(): AsyncGenerator<Buffer> {
      yield Buffer.from('"beginning')
      await setImmediate()
      throw new AppError('OBJECT_CORRUPT', 'broken')
    }
    return Readable.from(some(), { objectMode: false })
  }

  it('never comes to a clean end, wherever a payload breaks', async () => {
    const good = () => stored('"good"', 'x')
    const bad = () => stored('"beginning and end"', 'x', async () => broken())
    for (const sources of [[bad()], [bad(), good()], [good(), bad()], [good(), bad(), good()]]) {
      using server = await serve([{ data: dataOf(...sources) }])
      assert.equal(await isWhole(await answerTo(server.url)), false)
      await server.ended
      assert.equal((server.seen.failures[0] as AppError).code, 'OBJECT_CORRUPT')
      assert.ok(sources.every(({ held }) => held === 0))
      for (const body of sources.flatMap(({ bodies }) => bodies)) assert.ok(body.destroyed)
    }
  })

  it('because its client left in the middle of a payload lets go of it and of the next one', async () => {
    const sources = [stored('', 'p0', async () => endless(3_000_000)), stored('', 'p1', async () => endless(10))]
    using server = await serve([{ data: dataOf(...sources, stored('1', 'p2')) }])
    const answer = await answerTo(server.url)
    await once(answer, 'data')
    answer.destroy()
    await server.ended
    assert.deepEqual(
      sources.map(({ bodies }) => bodies.map(({ destroyed }) => destroyed)),
      [[true], [true]],
    )
    assert.ok(sources.every(({ held }) => held === 0))
  })

  for (const [when, before] of [
    ['first', []],
    ['second', [stored('"before"', 'p0')]],
  ] as const) {
    it(`because its client left while the ${when} payload was opened lets go of it`, async () => {
      const opening = Promise.withResolvers<void>()
      const gone = Promise.withResolvers<void>()
      const late = stored('', 'p1', async () => {
        opening.resolve()
        await gone.promise
        return endless(10)
      })
      using server = await serve([{ data: { text: 'x', ...dataOf(...before, late) } }])
      const request = get(server.url, { agent: false }).on('error', () => {})
      const received = Promise.withResolvers<void>()
      request.once('response', (answer) =>
        // All that comes before the payload that is being opened.
        answer.on('error', () => {}).on('data', (part: Buffer) => part.includes('"p1"') && received.resolve()),
      )
      await Promise.all([opening.promise, before.length > 0 && received.promise])
      request.destroy()
      await server.closed
      gone.resolve()
      await server.ended
      assert.ok(late.bodies.every(({ destroyed }) => destroyed))
      assert.equal(late.held, 0)
    })
  }
})
