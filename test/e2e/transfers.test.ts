import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { readdir, readFile, writeFile } from 'node:fs/promises'
import { get as httpGet, type IncomingMessage } from 'node:http'
import { Readable } from 'node:stream'
import { describe, it } from 'node:test'
import { createGzip } from 'node:zlib'
import { freshDatabase } from '../support/database.ts'
import { describeWith } from '../support/describe-with.ts'
import { s3Env } from '../support/objects.ts'
import { type RunningProcess, startProcess } from '../support/process.ts'
import { eventually, put, refusalOf, storedOf } from '../support/put.ts'
import { s3 } from '../support/services.ts'
import { temporaryFolder } from '../support/tmp.ts'

const MIB = 1_048_576
const ABORTS = 1000
const AT_ONCE = 16
const LARGE_MIB = 200

interface ChildServer extends AsyncDisposable {
  readonly url: string
  readonly process: RunningProcess
}

/** Connections to the database that a server has at most. */
const POOL = 11

/** The server as a process of its own: its memory and its descriptors are its alone. */
async function startChild(env: Record<string, string>): Promise<ChildServer> {
  await using cleanup = new AsyncDisposableStack()
  const database = cleanup.use(await freshDatabase())
  const folder = cleanup.use(await temporaryFolder())
  const settings = { PORT: '0', DATABASE_URL: database.url, DATA_DIR: folder.path, ...env }
  const process = cleanup.use(startProcess({ args: ['serve'], env: settings }))
  const url = await process.waitForUrl()
  const owned = cleanup.move()
  return { url, process, [Symbol.asyncDispose]: () => owned.disposeAsync() }
}

/** JSON of about so many MiB, made as it is read: lines of an array. */
function* document(mebibytes: number): Generator<Buffer> {
  const line = `${JSON.stringify({ message: 'x'.repeat(80), emoji: '🙂', numbers: [1.0, -0, 1e21] })},\n`
  const block = Buffer.from(line.repeat(Math.ceil(MIB / line.length)))
  yield Buffer.from('[')
  for (let index = 0; index < mebibytes; index++) yield block
  yield Buffer.from('0]')
}

async function open(url: string, snapshotId: string): Promise<IncomingMessage> {
  const request = httpGet(`${url}/snapshots/${snapshotId}/payload`, { agent: false })
  const [response] = await once(request, 'response')
  return response
}

async function download(url: string, snapshotId: string): Promise<string> {
  const hash = createHash('sha256')
  for await (const chunk of await open(url, snapshotId)) hash.update(chunk)
  return `sha256:${hash.digest('hex')}`
}

async function abortDownload(url: string, snapshotId: string): Promise<void> {
  const response = await open(url, snapshotId)
  await once(response, 'data')
  const closed = new Promise((resolve) => response.once('close', resolve))
  response.on('error', () => {}).destroy()
  await closed
}

async function descriptorsOf({ pid }: RunningProcess): Promise<number> {
  return (await readdir(`/proc/${pid}/fd`)).length
}

async function memoryOf({ pid }: RunningProcess, name: 'VmRSS' | 'VmHWM'): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8')
  const [, kibibytes] = new RegExp(`^${name}:\\s+(\\d+) kB`, 'm').exec(status) ?? []
  return Number(kibibytes) / 1024
}

/** How many MiB the process grew at its peak while the work was done. */
async function growth(process: RunningProcess, work: () => Promise<void>): Promise<number> {
  // Makes the peak start anew.
  await writeFile(`/proc/${process.pid}/clear_refs`, '5')
  const before = await memoryOf(process, 'VmRSS')
  await work()
  return (await memoryOf(process, 'VmHWM')) - before
}

async function inParallel(count: number, work: () => Promise<unknown>): Promise<void> {
  let left = count
  const worker = async () => {
    while (left-- > 0) await work()
  }
  await Promise.all(Array.from({ length: AT_ONCE }, worker))
}

function testTransfers(name: string, env: Record<string, string>): void {
  describe(`transfers with ${name}`, () => {
    it(`${ABORTS} downloads that are broken off leave no descriptor open`, async () => {
      await using server = await startChild(env)
      const { snapshotId } = storedOf(await put(server.url, document(12)))
      await inParallel(AT_ONCE, () => download(server.url, snapshotId))
      const before = await descriptorsOf(server.process)
      await inParallel(ABORTS, () => abortDownload(server.url, snapshotId))
      await eventually(async () => {
        const left = await descriptorsOf(server.process)
        // So many at once may have opened more connections to the database, which stay for a while.
        assert.ok(left <= before + POOL, `${before} before, ${left} after`)
      })
      assert.equal((await open(server.url, snapshotId)).statusCode, 200)
    })

    it(`${LARGE_MIB} MiB pass in bounded memory, both ways`, async (context) => {
      await using server = await startChild(env)
      const warm = storedOf(await put(server.url, document(40)))
      await download(server.url, warm.snapshotId)
      const hash = createHash('sha256')
      for (const chunk of document(LARGE_MIB)) hash.update(chunk)
      const digest = `sha256:${hash.digest('hex')}`
      let snapshotId = ''
      const grewIn = await growth(server.process, async () => {
        const stored = storedOf(await put(server.url, document(LARGE_MIB)))
        assert.equal(stored.digest, digest)
        snapshotId = stored.snapshotId
      })
      const grewOut = await growth(server.process, async () => {
        assert.equal(await download(server.url, snapshotId), digest)
      })
      context.diagnostic(`${grewIn.toFixed()} MiB in, ${grewOut.toFixed()} MiB out`)
      assert.ok(grewIn <= 64 && grewOut <= 64, `${grewIn} MiB in, ${grewOut} MiB out`)
    })
  })
}

testTransfers('files', {})
await describeWith('a real S3 server', s3, (service) => testTransfers('S3', s3Env(service)))

it('a body that inflates to 512 MiB is refused in bounded memory', async () => {
  await using server = await startChild({})
  const headers = { 'content-encoding': 'gzip' }
  const bomb = (mebibytes: number) =>
    Readable.from(
      (function* () {
        yield Buffer.from('"')
        for (let index = 0; index < mebibytes; index++) yield Buffer.alloc(MIB, 'x')
        yield Buffer.from('"')
      })(),
    ).pipe(createGzip({ level: 1 }))
  storedOf(await put(server.url, bomb(8), { headers }))
  const grew = await growth(server.process, async () => {
    const refusal = refusalOf(await put(server.url, Buffer.concat(await bomb(512).toArray()), { headers }))
    assert.deepEqual(refusal, { status: 413, code: 'PAYLOAD_TOO_LARGE' })
  })
  assert.ok(grew <= 64, `${grew} MiB`)
})
