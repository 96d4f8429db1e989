import assert from 'node:assert/strict'
import { once } from 'node:events'
import { get, type RequestListener } from 'node:http'
import { connect } from 'node:net'
import { describe, it } from 'node:test'
import { AppError, isAppError } from '../../src/errors.ts'
import type { Handler, Route } from '../../src/server/http.ts'
import { listen } from '../../src/server/listen.ts'
import { serveRoutes } from '../support/front.ts'
import { send } from '../support/http.ts'

const route = (GET: Handler): Route => ({ path: /^\/$/, methods: { GET } })

const greeting: Handler = async ({ response }) => {
  response.end('hello')
}

/** A bare listener, whose idle connections stay for a second. */
async function listenBarely() {
  const onRequest: RequestListener = (_request, response) => void response.end('here')
  const listener = await listen(onRequest, { port: 0, host: '127.0.0.1', keepAliveMillis: 1000 })
  return { ...listener, [Symbol.asyncDispose]: () => listener.close({ drainMillis: 0 }) }
}

describe('a server that is about to stop', () => {
  it('D21: ends the connection with each answer, also with those that had not begun', async () => {
    const waiting = Promise.withResolvers<void>()
    const begun = Promise.withResolvers<void>()
    const handler: Handler = async (context) => {
      if (context.query === 'wait') {
        begun.resolve()
        await waiting.promise
      }
      await greeting(context)
    }
    await using front = await serveRoutes([route(handler)])
    const agent = { headers: { connection: 'keep-alive' } }
    assert.equal((await send(front.url, { target: '/', ...agent })).headers.connection, 'keep-alive')
    const late = send(front.url, { target: '/?wait', ...agent })
    await begun.promise
    front.drain()
    waiting.resolve()
    assert.equal((await late).headers.connection, 'close')
    const after = await send(front.url, { target: '/', ...agent })
    assert.deepEqual([after.headers.connection, after.body.toString()], ['close', 'hello'])
  })

  it('tells those who answer without end', async () => {
    const handler: Handler = async ({ response, draining }) => {
      response.write('event')
      await once(draining, 'abort')
      response.end(' bye')
    }
    await using front = await serveRoutes([route(handler)])
    const [response] = await once(get(front.url), 'response')
    front.drain()
    assert.equal(Buffer.concat(await response.toArray()).toString(), 'event bye')
  })

  it('D21: takes new connections for as long as it is told to, though nothing is under way', async () => {
    const listener = await listenBarely()
    await send(listener.url, { target: '/' })
    const closedAt = performance.now()
    const closed = listener.close({ listenOnMillis: 1000 })
    for (let asked = 0; performance.now() - closedAt < 700; asked++) {
      assert.equal((await send(listener.url, { target: '/' })).body.toString(), 'here', `request ${asked}`)
    }
    await closed
    assert.ok(performance.now() - closedAt >= 1000)
    await assert.rejects(send(listener.url, { target: '/' }), { code: 'ECONNREFUSED' })
  })
})

describe('a connection that nothing is asked on', () => {
  it('D21: stays open for as long as the setting says, and no longer', async () => {
    await using listener = await listenBarely()
    const socket = connect(listener.port, '127.0.0.1')
    socket.write('GET / HTTP/1.1\r\nhost: localhost\r\n\r\n')
    const [head] = await once(socket.setEncoding('latin1'), 'data')
    const answeredAt = performance.now()
    assert.match(head, /\r\nKeep-Alive: timeout=1,/i)
    await once(socket, 'close')
    const seconds = (performance.now() - answeredAt) / 1000
    assert.ok(seconds > 0.9 && seconds < 5, `${seconds} s`)
  })
})

describe('an answer that breaks', () => {
  it('never looks whole: to older peers, for whom its mere end would be one, it is reset', async () => {
    const handler: Handler = async ({ response }) => {
      response.write('a part')
      throw new AppError('STORAGE_UNAVAILABLE', 'The rest cannot be had')
    }
    await using front = await serveRoutes([route(handler)])
    const port = Number(new URL(front.url).port)
    // Node sends chunks to none of them.
    for (const version of ['1.0', '0.9', '2.0']) {
      const socket = connect(port, '127.0.0.1')
      socket.write(`GET / HTTP/${version}\r\nhost: localhost\r\n\r\n`)
      const [error] = await once(socket.resume(), 'error')
      assert.equal(error.code, 'ECONNRESET', version)
    }
    await assert.rejects(send(front.url, { target: '/' }), { code: 'ECONNRESET' })
  })

  it('never looks whole where a stop cuts it, over HTTP/1.0 neither', async () => {
    const handler: Handler = async ({ response, signal }) => {
      response.write('a part')
      await once(signal, 'abort')
    }
    const front = await serveRoutes([route(handler)])
    const socket = connect(Number(new URL(front.url).port), '127.0.0.1')
    socket.write('GET / HTTP/1.0\r\nhost: localhost\r\n\r\n')
    await once(socket, 'data')
    const [[error]] = await Promise.all([once(socket, 'error'), front[Symbol.asyncDispose]()])
    assert.equal(error.code, 'ECONNRESET')
  })
})

describe('an answer that does not begin', () => {
  it('is given up after its time, by a code that says to try again, and what was done for it ends', async () => {
    let ended: unknown
    const GET: Handler = ({ signal }) =>
      new Promise((_resolve, reject) => {
        signal.addEventListener('abort', () => {
          ended = signal.reason
          reject(signal.reason)
        })
      })
    await using front = await serveRoutes([{ path: /^\/$/, methods: { GET }, headMillis: 50 }])
    const { status, headers, body } = await send(front.url, { target: '/' })
    assert.deepEqual([status, headers['retry-after'], JSON.parse(body.toString()).code], [503, '1', 'OVERLOADED'])
    assert.ok(isAppError(ended, 'OVERLOADED'))
  })
})
