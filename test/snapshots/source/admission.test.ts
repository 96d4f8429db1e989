import assert from 'node:assert/strict'
import { once } from 'node:events'
import { type IncomingMessage, request } from 'node:http'
import { after, before, describe, it } from 'node:test'
import { setImmediate } from 'node:timers/promises'
import { createGate, type GateOptions } from '../../../src/snapshots/source/gate.ts'
import { dataOf } from '../../support/answers.ts'
import { send } from '../../support/http.ts'
import { eventually } from '../../support/put.ts'
import { startServer, type TestServer } from '../../support/server.ts'

const FULL = { code: 'OVERLOADED' }
const gate = (options: Partial<GateOptions>) =>
  createGate({ capacity: 1, maxQueue: 256, queueMillis: 2000, ...options })

describe('admission', () => {
  it('lets in as many as there are places, and the others in the order in which they came', async () => {
    const { enter } = gate({ capacity: 2 })
    const [first, second] = [await enter(), await enter()]
    const order: string[] = []
    const wait = async (name: string) => {
      const leave = await enter()
      order.push(name)
      return leave
    }
    const waiting = ['a', 'b', 'c'].map(wait)
    await setImmediate()
    assert.deepEqual(order, [])
    first()
    const leaveA = await waiting[0]
    await setImmediate()
    assert.deepEqual(order, ['a'])
    second()
    leaveA?.()
    await Promise.all(waiting)
    assert.deepEqual(order, ['a', 'b', 'c'])
  })

  it('refuses who waited too long, and whoever comes while too many wait', async () => {
    const { enter } = gate({ capacity: 1, maxQueue: 1, queueMillis: 20 })
    const leave = await enter()
    const waiting = assert.rejects(enter(), FULL)
    await assert.rejects(enter(), FULL)
    await waiting
    // Who was refused does not stand in the queue any more.
    const next = enter()
    leave()
    const leaveNext = await next
    const last = enter()
    leaveNext()
    ;(await last)()
  })

  it('weighs what comes in, in order, and lets in what is larger than all of it alone', async () => {
    const { enter, taken } = gate({ capacity: 10 })
    const [small, other] = [await enter(undefined, 4), await enter(undefined, 5)]
    const large = enter(undefined, 100)
    const behind = enter(undefined, 1)
    await setImmediate()
    assert.equal(taken(), 9, 'what came later does not pass what waits')
    small()
    await setImmediate()
    assert.equal(taken(), 5)
    other()
    const leaveLarge = await large
    assert.equal(taken(), 10)
    leaveLarge()
    leaveLarge()
    ;(await behind)()
    assert.equal(taken(), 0)
  })

  it('lets those behind in when one that was too large gives up', async () => {
    const { enter } = gate({ capacity: 2 })
    const leave = await enter()
    const controller = new AbortController()
    const large = assert.rejects(enter(controller.signal, 2), { name: 'AbortError' })
    const behind = enter()
    controller.abort()
    await large
    ;(await behind)()
    leave()
  })

  it('refuses at once where nobody may wait', async () => {
    const { enter } = gate({ capacity: 1, maxQueue: 0 })
    const leave = await enter()
    await assert.rejects(enter(), FULL)
    leave()
    ;(await enter())()
  })

  it('lets go of who leaves the queue, and of its place in it', async () => {
    const { enter } = gate({ capacity: 1, maxQueue: 1 })
    const leave = await enter()
    const controller = new AbortController()
    const reason = new Error('gone')
    const waiting = assert.rejects(enter(controller.signal), reason)
    controller.abort(reason)
    await waiting
    await assert.rejects(enter(controller.signal), reason)
    const next = enter()
    leave()
    ;(await next)()
    // A place that nobody holds is given to one, not to two.
    const held = await enter()
    await assert.rejects(createRace(enter()), { message: 'still waiting' })
    held()
  })

  it('frees a place once, however often it is left', async () => {
    const { enter } = gate({ capacity: 1, queueMillis: 10 })
    const leave = await enter()
    leave()
    leave()
    const again = await enter()
    leave()
    await assert.rejects(enter(), FULL)
    again()
    ;(await enter())()
  })
})

/** Fails when nothing came within a turn of the event loop. */
async function createRace<T>(pending: Promise<T>): Promise<T> {
  const late = setImmediate().then(() => Promise.reject(new Error('still waiting')))
  return await Promise.race([pending, late])
}

describe('a server whose places are taken by clients that do not read', () => {
  const LARGE = Buffer.from(`"${'x'.repeat(40_000_000)}"`)
  const PAYLOAD = JSON.stringify({ query: '{ run(runId: "large") { latestSnapshot { payload } } }' })
  const headers = { 'content-type': 'application/json' }
  let server: TestServer
  before(async () => {
    server = await startServer({
      admission: { payloadStreamsMax: 2, memoryMaxBytes: 1, maxQueue: 1, queueMillis: 100 },
    })
    await server.app.writer.capture({ runId: 'large' }, LARGE)
    await server.app.writer.capture({ runId: 'small' }, Buffer.from('1'))
  })
  after(() => server[Symbol.asyncDispose]())

  const askLarge = () => send(server.url, { method: 'POST', target: '/graphql', headers, body: PAYLOAD })

  /** Reads nothing but the head. */
  async function stall(): Promise<IncomingMessage> {
    const sending = request(`${server.url}/graphql`, { method: 'POST', agent: false, headers }).end(PAYLOAD)
    const [answer] = await once(sending, 'response')
    assert.equal(answer.statusCode, 200)
    return answer.on('error', () => {})
  }

  it('has null in place of large payloads, and answers what needs no place', async () => {
    const stalled = [await stall(), await stall()]
    const refused = await askLarge()
    const { data, errors } = JSON.parse(refused.body.toString())
    assert.deepEqual([refused.status, data.run.latestSnapshot], [200, { payload: null }])
    assert.deepEqual(errors[0].extensions, { code: 'OVERLOADED', retryable: true })
    const small = '{ run(runId: "small") { latestSnapshot { payload } } runs { edges { node { runId } } } }'
    assert.deepEqual(await dataOf(server.graphql(small)), {
      run: { latestSnapshot: { payload: 1 } },
      runs: { edges: [{ node: { runId: 'small' } }, { node: { runId: 'large' } }] },
    })
    const tooLarge = '{ run(runId: "large") { latestSnapshot { sizeBytes payload(maxBytes: 1) } } }'
    assert.equal((await server.graphql(tooLarge)).status, 200)

    for (const answer of stalled) answer.destroy()
    await eventually(async () => {
      const { status, body } = await askLarge()
      assert.deepEqual([status, body.length > LARGE.length], [200, true])
    })
  })

  it('has all places again after every client left', async () => {
    for (let round = 0; round < 3; round++) {
      const stalled = await Promise.all([stall(), stall()])
      for (const answer of stalled) answer.destroy()
      await eventually(async () => assert.ok((await askLarge()).body.length > LARGE.length))
    }
    const answers = await Promise.all([askLarge(), askLarge()])
    assert.deepEqual(
      answers.map(({ status, body }) => [status, body.length]),
      Array.from({ length: 2 }, () => [200, LARGE.length + '{"data":{"run":{"latestSnapshot":{"payload":}}}}'.length]),
    )
  })
})
