import assert from 'node:assert/strict'
import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { type ClientRequest, type IncomingMessage, request } from 'node:http'
import { connect, type Socket } from 'node:net'
import { after, before, describe, it } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { brotliCompressSync, constants, gzipSync, zstdCompressSync } from 'node:zlib'
import { freshDatabase } from '../support/database.ts'
import { type PlainResponse, send } from '../support/http.ts'
import { type RunningProcess, startProcess } from '../support/process.ts'
import { put, storedOf } from '../support/put.ts'
import { graphqlAt } from '../support/server.ts'
import { temporaryFolder } from '../support/tmp.ts'

const PROBE = fileURLToPath(new URL('../support/loop-probe.ts', import.meta.url))
const MIB = 1_048_576
/** Bytes of a body of /graphql. */
const LIMIT = 2_621_440
/** The newer type of answers, whose status tells that nothing ran. */
const JSON_TYPE = { 'content-type': 'application/json', accept: 'application/graphql-response+json' }

/** Bytes that a process has in memory now. */
async function residentOf({ pid }: RunningProcess): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8')
  return Number(/^VmRSS:\s+(\d+) kB/m.exec(status)?.[1]) * 1024
}

/** Bytes that a process has read so far, those of its sockets among them. */
async function readBy({ pid }: RunningProcess): Promise<number> {
  return Number(/^rchar: (\d+)$/m.exec(await readFile(`/proc/${pid}/io`, 'utf8'))?.[1])
}

/** What a body that does not end is answered with: nothing when the connection was reset first. */
async function pour(url: string, headers: Readonly<Record<string, string>>, most: number) {
  const posting = request(`${url}/graphql`, { method: 'POST', headers, agent: false })
  const answered = once(posting, 'response') as Promise<[IncomingMessage]>
  let isAnswered = false
  answered.then(
    () => {
      isAnswered = true
    },
    () => {},
  )
  let wake = () => {}
  const over = new Promise<void>((resolve) => posting.on('error', resolve).once('close', resolve))
  posting.on('drain', () => wake())
  let sent = 0
  const chunk = Buffer.alloc(65_536, ' ')
  while (sent < most && !posting.destroyed) {
    sent += chunk.length
    const drained = new Promise<void>((resolve) => {
      wake = resolve
    })
    if (!posting.write(chunk)) await Promise.race([drained, over, answered])
    if (isAnswered) break
  }
  const status = await Promise.race([answered.then(([{ statusCode }]) => statusCode), over.then(() => undefined)])
  end(posting)
  return status
}

function end(posting: ClientRequest): void {
  posting.on('error', () => {}).destroy()
}

/** As clients do: what there is no room for now comes again. */
async function untilFree(ask: () => Promise<PlainResponse>): Promise<PlainResponse> {
  for (;;) {
    const answer = await ask()
    if (answer.status !== 503) return answer
    assert.ok(answer.headers['retry-after'])
    await delay(100)
  }
}

describe('a server of little memory', { concurrency: false, timeout: 170_000 }, () => {
  const cleanup = new AsyncDisposableStack()
  let child: RunningProcess
  let url: string

  before(async () => {
    const database = cleanup.use(await freshDatabase())
    const folder = cleanup.use(await temporaryFolder())
    child = cleanup.use(
      startProcess({
        args: ['serve'],
        env: { PORT: '0', DATABASE_URL: database.url, SNAPSHOT_STORAGE_PATH: folder.path },
        nodeArgs: ['--max-old-space-size=192', '--unhandled-rejections=strict', '--import', PROBE],
      }),
    )
    url = await child.waitForUrl()
  })
  after(() => cleanup.disposeAsync())

  const ask = (body: string | Buffer, headers = {}) =>
    send(url, { method: 'POST', target: '/graphql', headers: { ...JSON_TYPE, ...headers }, body })

  /**
   * Bytes by which it grows whenever the work is done that was done before as well. What is kept adds to every round; garbage that
   * was not collected yet adds to some of them.
   */
  async function growthOf(work: () => Promise<void>): Promise<number> {
    await work()
    let least = Number.POSITIVE_INFINITY
    for (let round = 0; round < 5 && least > 0; round++) {
      const before = await residentOf(child)
      await work()
      least = Math.min(least, (await residentOf(child)) - before)
    }
    return least
  }

  it('A10: keeps nothing of texts of a megabyte, each another one', async () => {
    let count = 0
    const texts = [
      (i: number) => `{ run(runId: "${i}${'x'.repeat(1_000_000)}") { id } }`,
      (i: number) => `# ${i}${'x'.repeat(1_000_000)}\n{ __typename }`,
      (i: number) => `{ a${i}: __typename ${','.repeat(1_000_000)} }`,
    ]
    const growth = await growthOf(async () => {
      for (const end = count + 45; count < end; count++) {
        const text = texts[count % texts.length] as (i: number) => string
        assert.ok([400, 413].includes((await ask(JSON.stringify({ query: text(count) }))).status))
      }
    })
    assert.ok(growth < 50 * MIB, `${growth} bytes`)
  })

  it('A11: stops to read a body that is too large, whether its length is told or never ends', async () => {
    const growth = await growthOf(async () => {
      assert.equal((await ask(Buffer.alloc(3 * MIB, ' ')).catch(() => ({ status: 413 }))).status, 413)
      for (const [headers, right, most] of [
        [JSON_TYPE, 413, LIMIT],
        [{ ...JSON_TYPE, 'content-length': String(64 * MIB) }, 413, 0],
        [{ ...JSON_TYPE, 'content-type': 'text/html' }, 415, 0],
      ] as const) {
        const before = await readBy(child)
        const status = await pour(url, headers, 64 * MIB)
        assert.ok(status === right || status === undefined, `${status}`)
        const taken = (await readBy(child)) - before
        assert.ok(taken < most + 256 * 1024, `${taken} bytes of ${right}`)
      }
    })
    assert.ok(growth < 10 * MIB, `${growth} bytes`)
  })

  it('A16: does not unpack a body that grows a thousand times', async () => {
    const plain = Buffer.alloc(64 * MIB, ' ')
    const bombs = {
      gzip: gzipSync(plain),
      br: brotliCompressSync(plain, { params: { [constants.BROTLI_PARAM_QUALITY]: 3 } }),
      zstd: zstdCompressSync(plain),
      deflate: gzipSync(plain),
    }
    const growth = await growthOf(async () => {
      for (const [coding, body] of Object.entries(bombs)) {
        const { status } = await ask(body, { 'content-encoding': coding })
        assert.ok([413, 415].includes(status), `${coding}: ${status}`)
      }
    })
    assert.ok(growth < 5 * MIB, `${growth} bytes`)
  })

  it('A12: serves everybody else while two hundred send drop by drop, and cuts those off', async () => {
    const port = Number(new URL(url).port)
    const head = 'GET /health/live HTTP/1.1\r\nhost: localhost\r\nx-slow: '
    const sockets: Socket[] = []
    for (let i = 0; i < 200; i++) {
      const socket = connect(port, '127.0.0.1').on('error', () => {})
      await once(socket, 'connect')
      socket.write(head)
      socket.resume()
      sockets.push(socket)
    }
    const drip = setInterval(() => {
      for (const socket of sockets) if (!socket.destroyed) socket.write('a')
    }, 1000)
    const ends = sockets.map(
      (socket) => new Promise((resolve) => (socket.closed ? resolve(null) : socket.once('close', resolve))),
    )
    let left = sockets.length
    for (const end of ends) end.then(() => left--)
    let asked = 0
    // As long as one of them is there: they go after ten seconds.
    while (left > 0) {
      const answers = await Promise.all(
        Array.from({ length: 5 }, () => ask('{"query":"{ runs(first: 1) { nodes { runId } } }"}')),
      )
      assert.deepEqual(new Set(answers.map(({ status }) => status)), new Set([200]))
      asked += answers.length
      await delay(50)
    }
    clearInterval(drip)
    assert.ok(asked > 50, `${asked} others were answered`)
  })

  const LARGE: readonly (readonly [string, () => Buffer])[] = [
    ['a million keys', () => Buffer.from(`{${Array.from({ length: 1e6 }, (_, i) => `"k${i}":${i % 10}`).join()}}`)],
    ['a number of 20 MB', () => Buffer.alloc(20e6, '7')],
    ['a string of 50 MB', () => Buffer.from(`"${'x'.repeat(50e6)}"`)],
  ]
  for (const [name, make] of LARGE) {
    it(`D9: takes and looks into ${name} without holding its loop`, async () => {
      const body = make()
      await asked()
      const { snapshotId } = storedOf(await put(url, body))
      const { data } = await graphqlAt(url)(
        `{ snapshotById(snapshotId: "${snapshotId}") { sizeBytes at { type childCount children(first: 5) { nodes { key } } } } }`,
      )
      assert.equal((data as { snapshotById: { sizeBytes: string | number } }).snapshotById.sizeBytes, body.length)
      const { body: back } = await send(url, { target: `/snapshots/${snapshotId}/payload` })
      assert.ok(back.equals(body))
      const held = await asked()
      assert.ok(held < 300, `${held} ms of CPU at once`)
    })
  }

  /** What the loop was held for since this was asked last. */
  async function asked(): Promise<number> {
    const before = child.stderr().match(/^held /gm)?.length ?? 0
    process.kill(child.pid, 'SIGUSR2')
    const lines = () => child.stderr().match(/^held [\d.]+ ms$/gm) ?? []
    while (lines().length === before) await send(url, { target: '/health/live' })
    return Number(/[\d.]+/.exec(lines().at(-1) ?? '')?.[0])
  }

  it('J5: does not run out of it under load', async () => {
    const large = Buffer.from(`["${'y'.repeat(16e6)}"]`)
    const { snapshotId } = storedOf(await put(url, large, { runId: 'load', stepId: 'large' }))
    const target = `/snapshots/${snapshotId}/payload`
    const rounds = Array.from({ length: 9 }, async (_, i) => {
      for (let turn = 0; turn < 1; turn++) {
        if (i % 3 === 0) assert.ok((await untilFree(() => send(url, { target }))).body.equals(large))
        else if (i % 3 === 1)
          storedOf(await untilFree(() => put(url, large, { runId: 'load', stepId: `${i}-${turn}` })))
        else {
          for (let n = 0; n < 20; n++) {
            const { status } = await ask(
              '{"query":"{ runs(first: 20) { nodes { runId snapshots(first: 20) { nodes { preview } } } } }"}',
            )
            assert.equal(status, 200)
          }
        }
      }
    })
    await Promise.all(rounds)
    assert.equal((await send(url, { target: '/health/live' })).status, 200)
    assert.deepEqual(await child.stop('SIGTERM'), { code: 0, signal: null })
    assert.doesNotMatch(child.stderr(), /heap out of memory|MaxListenersExceeded|DEP0137|unhandled/i)
  })
})
