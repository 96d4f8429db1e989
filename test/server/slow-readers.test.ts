import assert from 'node:assert/strict'
import { Readable } from 'node:stream'
import { after, before, describe, it } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { createGraphiql } from '../../src/server/graphiql.ts'
import type { Handler, Route } from '../../src/server/http.ts'
import { createAccount, type Pace, paceOfReaders } from '../../src/server/pace.ts'
import { sendBody } from '../../src/server/send-body.ts'
import { serveRoutes, type TestFront } from '../support/front.ts'
import { send } from '../support/http.ts'
import { readSlowly, type SlowReader } from '../support/slow-reader.ts'

/** The defaults, sixteen times as fast: what kernels keep is the same. */
const RATE = 1_048_576
const SPEED = 16
const PACE: Pace = {
  minBytesPerSecond: RATE,
  silentMillis: 20_000 / SPEED,
  behindMillis: 30_000 / SPEED,
  aheadMillis: 120_000 / SPEED,
}
const SIZE = 8_000_000
const bytes = Buffer.alloc(SIZE, 'x')

function* pieces(): Generator<Buffer> {
  for (let at = 0; at < SIZE; at += 65_536) yield bytes.subarray(at, at + 65_536)
}

const answering =
  (body: () => Buffer | Readable): Handler =>
  async ({ response }) => {
    response.writeHead(200, { 'content-length': SIZE })
    await sendBody(response, body())
  }

/** What a client takes at once; the kernel has room for as much. */
const BURST = 3_500_000

const late: Handler = async ({ response }) => {
  response.writeHead(200, { 'content-length': SIZE })
  response.write(bytes.subarray(0, BURST))
  await delay(200)
  await sendBody(response, bytes.subarray(BURST))
}

const route = (path: RegExp, GET: Handler): Route => ({ path, methods: { GET, HEAD: GET } })

const ROUTES = [
  route(
    /^\/stream$/,
    answering(() => Readable.from(pieces(), { objectMode: false })),
  ),
  route(
    /^\/buffer$/,
    answering(() => bytes),
  ),
  route(/^\/late$/, late),
  route(/^\/graphiql$/, createGraphiql()),
]

describe('a client that takes an answer slowly', { timeout: 60_000 }, () => {
  let front: TestFront
  before(async () => {
    front = await serveRoutes(ROUTES, { readers: PACE })
    // The page is made and compressed when it is first asked for.
    await send(front.url, { method: 'HEAD', target: '/graphiql' })
  })
  after(() => front[Symbol.asyncDispose]())

  const read = (target: string, options: Omit<SlowReader, 'target' | 'everyMillis'>) =>
    readSlowly(front.url, { target, everyMillis: 1000 / SPEED, ...options })

  async function assertServed(target: string, allowance: SlowReader['allowance']): Promise<void> {
    const result = await read(target, { allowance })
    assert.ok(result.isComplete, `${target} ${JSON.stringify(result)}`)
  }

  /**
   * The bounds in seconds of the defaults. The upper one is told by a timer of the same process, which stands still as long as the
   * server does; it leaves room for the time in which a busy machine asks what a client has.
   */
  async function assertCut(target: string, allowance: SlowReader['allowance'], limitSeconds = 38): Promise<void> {
    let ticks = 0
    const timer = setInterval(() => ticks++, 250 / SPEED)
    const result = await read(target, { allowance, isProbing: true }).finally(() => clearInterval(timer))
    assert.ok(!result.isComplete, target)
    const [told, seconds] = [result.seconds * SPEED, ticks / 4]
    assert.ok(told > 19 && seconds < limitSeconds, `${target} after ${told} s, or ${seconds} of this process`)
  }

  describe('gets all of it', { concurrency: true }, () => {
    it('N3: when it is as fast as it must be, whatever the kernel keeps back', async () => {
      await Promise.all(
        ['/stream', '/buffer'].map((target) => assertServed(target, (seconds) => seconds * RATE * 1.05)),
      )
    })

    it('N3: when it takes much at once and rests, as curl does', async () => {
      const allowance = (seconds: number) => 65_536 + Math.floor(seconds / (BURST / RATE) + 0.95) * BURST
      await Promise.all(['/stream', '/buffer'].map((target) => assertServed(target, allowance)))
    })

    const skip = process.platform === 'linux' ? false : 'only Linux tells what is acknowledged'
    it('N3: when it took much at once before there was more than it could take', { skip }, async () => {
      const restSeconds = (BURST / RATE) * 0.7
      const allowance = (seconds: number) => (seconds < restSeconds ? BURST : SIZE)
      await assertServed('/late', allowance)
    })
  })

  it('N3: is cut in time when it takes nothing, or only what comes first', async () => {
    await Promise.all(
      ['/stream', '/buffer'].flatMap((target) => [assertCut(target, () => 0), assertCut(target, () => 60_000)]),
    )
  })

  it('D4: is cut when it takes a little each time', async () => {
    await Promise.all(['/stream', '/buffer'].map((target) => assertCut(target, (seconds) => seconds * 20_000, 80)))
  })

  it('D19: is cut also where the answer is the page of GraphiQL', async () => {
    await assertCut('/graphiql', () => 0)
  })
})

describe('an answer that waits for something else than its client', { concurrency: true, timeout: 60_000 }, () => {
  const restMillis = 2 * PACE.silentMillis

  async function assertWhole(handler: Handler, expected: number): Promise<void> {
    await using front = await serveRoutes([route(/^\/$/, handler)], { readers: PACE })
    assert.equal((await send(front.url, { target: '/' })).body.length, expected)
  }

  it('is not cut for a store that is slow', async () => {
    async function* resting(): AsyncGenerator<Buffer> {
      let at = 0
      for (const piece of pieces()) {
        if (at++ % 64 === 63) await delay(restMillis)
        yield piece
      }
    }
    await assertWhole(
      answering(() => Readable.from(resting(), { objectMode: false })),
      SIZE,
    )
  })

  it('may say nothing for as long as it has nothing to say', async () => {
    const events: Handler = async ({ response }) => {
      response.write('a')
      await delay(restMillis)
      response.end('b')
    }
    await assertWhole(events, 2)
  })
})

describe('what one side has left', () => {
  const { minBytesPerSecond: rate, ...times } = paceOfReaders(1000)

  it('D4: is used up by time, and won back by bytes at the rate that it owes', () => {
    const account = createAccount({ minBytesPerSecond: rate, ...times })
    account.waited(15_000)
    assert.equal(account.left(), 5000)
    account.passed(1)
    assert.equal(account.left(), 15_001, 'who takes something may be behind for longer than who takes nothing')
    for (let second = 0; second < 1000; second++) {
      account.waited(1000)
      account.passed(1000)
    }
    assert.equal(account.left(), 15_001)
    account.waited(15_002)
    assert.ok(account.left() < 0)
  })

  it('is never more than a rest of two minutes, however fast it was', () => {
    const account = createAccount({ minBytesPerSecond: rate, ...times })
    account.passed(1e12)
    assert.equal(account.left(), 120_000)
  })
})
