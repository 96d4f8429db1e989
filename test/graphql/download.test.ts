import assert from 'node:assert/strict'
import { createHash, randomUUID } from 'node:crypto'
import { after, before, describe, it } from 'node:test'
import { gzipSync } from 'node:zlib'
import { dataOf } from '../support/answers.ts'
import { freshDatabase } from '../support/database.ts'
import { describeWith } from '../support/describe-with.ts'
import { send } from '../support/http.ts'
import { openObjects, s3Env } from '../support/objects.ts'
import { type RunningProcess, startProcess } from '../support/process.ts'
import { put, type Stored, storedOf } from '../support/put.ts'
import { insertForeign } from '../support/rows.ts'
import { graphqlAt, startServer, type TestServer } from '../support/server.ts'
import { type S3Service, s3 } from '../support/services.ts'
import { temporaryFolder } from '../support/tmp.ts'

const INLINE = Buffer.from('{"small": 1.0, "place": "東京"}')
const OBJECT = Buffer.from(`{"large": "${'🚚'.repeat(2000)}"}`)
const TOKEN = 'canary-session-token'
const LIMITS = { SNAPSHOT_INLINE_MAX_BYTES: '1000', SIGNED_URL_MAX_SECONDS: '7200' }
const TICKET =
  'url method headers { name value } expiresAt direct filename sizeBytes digest contentType contentEncoding'

/** What is asked for, and what becomes of it. */
const FILENAMES: readonly (readonly [asked: string, given: string])[] = [
  ['state.json', 'state.json'],
  ['état 東京 (1).json', 'état 東京 (1).json'],
  ["it's *the* 100%;final.json", "it's _the_ 100%;final.json"],
  ['a"b\\c.json', 'a_b_c.json'],
  ['a\r\nX-Evil: 1\r\n\r\n<b>.json', 'a_X-Evil_ 1_b_.json'],
  ['👩‍👩‍👧.json', '👩‍👩‍👧.json'],
  [`${'x'.repeat(300)}.json`, `${'x'.repeat(194)}.json`],
  [`${'東'.repeat(300)}.json`, `${'東'.repeat(64)}.json`],
  ['y'.repeat(300), 'y'.repeat(199)],
  ['..', 'payload.json'],
  ['../../etc/passwd', '_.._etc_passwd'],
  ['.hidden.json', 'hidden.json'],
  ['...json', 'json'],
  ['a.json . . ', 'a.json'],
  ['  a.json', 'a.json'],
  ['CON', '_CON'],
  ['nul.json', '_nul.json'],
  ['Com1.tar.gz', '_Com1.tar.gz'],
  ['console.json', 'console.json'],
  ['???/\\', 'payload.json'],
  ['', 'payload.json'],
  ['cod\u202egnp.json', 'codgnp.json'],
  ['\u2066a\u2069\u200f\ufeff.json', 'a.json'],
  ['\ud83d.json', '_.json'],
  ['a\udc00b.json', 'a_b.json'],
  ['a\u2028b\u0000c\u009f.json', 'a_b_c_.json'],
]

interface Ticket {
  readonly url: string
  readonly method: string
  readonly headers: readonly { readonly name: string; readonly value: string }[]
  readonly expiresAt: string
  readonly direct: boolean
  readonly filename: string
  readonly sizeBytes: number | null
  readonly digest: string | null
  readonly contentType: string
  readonly contentEncoding: string
}

interface Linked {
  readonly download: Ticket
  readonly signedUrl: string | null
}

interface Wish {
  readonly expiresIn?: number
  readonly filename?: string
}

function ask(server: Pick<TestServer, 'graphql'>, id: string, wish: Wish = {}) {
  return server.graphql<{ snapshotById: Linked | null }>(
    `query($id: ID!, $expiresIn: Int! = 3600, $filename: String) {
      snapshotById(snapshotId: $id) {
        signedUrl(expiresIn: $expiresIn)
        download(expiresIn: $expiresIn, filename: $filename) { ${TICKET} }
      }
    }`,
    { id, ...wish },
  )
}

async function linked(server: TestServer, id: string, wish?: Wish): Promise<Linked> {
  return (await dataOf(ask(server, id, wish))).snapshotById ?? assert.fail()
}

/** Sends the request as the ticket says. */
async function redeem({ url, method, headers }: Ticket): Promise<Buffer> {
  const response = await fetch(url, { method, headers: headers.map(({ name, value }) => [name, value]) })
  assert.equal(response.status, 200)
  return Buffer.from(await response.arrayBuffer())
}

function digestOf(bytes: Buffer): string {
  return `sha256:${createHash('sha256').update(bytes).digest('hex')}`
}

/** What holds for a ticket, whatever the bytes lie in. */
function itIsATicket(capture: (server: TestServer) => Promise<Stored>, running: () => TestServer, bytes: Buffer): void {
  it('gives the bytes to whoever sends what it says, and tells what they are', async () => {
    const { snapshotId } = await capture(running())
    const { download: ticket } = await linked(running(), snapshotId)
    assert.deepEqual(await redeem(ticket), bytes)
    const { method, headers, sizeBytes, digest, contentType, contentEncoding } = ticket
    assert.deepEqual(
      { method, headers, sizeBytes, digest, contentType, contentEncoding },
      {
        method: 'GET',
        headers: [],
        sizeBytes: bytes.length,
        digest: digestOf(bytes),
        contentType: 'application/json',
        contentEncoding: 'identity',
      },
    )
    assert.match(ticket.filename, /^step-\d+\.json$/)
  })

  it('ends when it was asked to', async () => {
    const { snapshotId } = await capture(running())
    const asked = Math.floor(Date.now() / 1000) * 1000
    const { download } = await linked(running(), snapshotId, { expiresIn: 600 })
    const late = Date.parse(download.expiresAt) - asked - 600_000
    assert.ok(late >= 0 && late <= 5000, String(late))
  })

  it('is refused for a life beyond the setting, in words that name it', async () => {
    const { snapshotId } = await capture(running())
    await linked(running(), snapshotId, { expiresIn: 7200 })
    for (const expiresIn of [0, -1, 7201, 604_801]) {
      const { errors = [] } = await ask(running(), snapshotId, { expiresIn })
      assert.equal(errors.length, 2)
      for (const { message, extensions } of errors) {
        assert.equal(extensions.code, 'BAD_REQUEST')
        assert.match(message, /\b7200\b/)
      }
    }
  })
}

describe('a ticket for an inline payload', () => {
  let server: TestServer
  before(async () => {
    server = await startServer({ env: LIMITS })
  })
  after(() => server[Symbol.asyncDispose]())
  const capture = async () => storedOf(await put(server.url, INLINE))

  itIsATicket(capture, () => server, INLINE)

  it('leads to this server, where there is no signed URL', async () => {
    const { download, signedUrl } = await linked(server, (await capture()).snapshotId)
    assert.equal(signedUrl, null)
    assert.deepEqual([download.direct, new URL(download.url).origin], [false, server.url])
  })
})

describe('a ticket for a file', () => {
  let server: TestServer
  before(async () => {
    server = await startServer({ env: LIMITS })
  })
  after(() => server[Symbol.asyncDispose]())
  const capture = async () => storedOf(await put(server.url, OBJECT))

  itIsATicket(capture, () => server, OBJECT)

  it('leads to this server, as its signed URL does', async () => {
    const { download, signedUrl } = await linked(server, (await capture()).snapshotId)
    assert.equal(download.direct, false)
    for (const url of [download.url, signedUrl ?? '']) assert.equal(new URL(url).origin, server.url)
  })

  it('gives a file name that every file system takes, and the answer gives the same', async () => {
    const { snapshotId } = await capture()
    for (const [filename, expected] of FILENAMES) {
      const { download } = await linked(server, snapshotId, { filename })
      assert.equal(download.filename, expected, JSON.stringify(filename))
      const { headers } = await send(server.url, { method: 'HEAD', target: download.url.slice(server.url.length) })
      assert.equal(nameIn(headers['content-disposition']), expected)
    }
  })
})

describe('a ticket for a row of another writer', () => {
  let server: TestServer
  before(async () => {
    server = await startServer()
  })
  after(() => server[Symbol.asyncDispose]())

  it('leads to this server where there are two copies, for only here it is known which one is good', async () => {
    const payload = '{"kept": true}'
    const storageUri = `object-storage://snapshots/${randomUUID()}.json`
    const { download, signedUrl } = await linked(
      server,
      await insertForeign(server.databaseUrl, { payload, storageUri }),
    )
    assert.equal(download.direct, false)
    assert.deepEqual(JSON.parse((await redeem(download)).toString()), { kept: true })
    assert.equal(download.digest, null)
    assert.equal(signedUrl === null || new URL(signedUrl).origin === server.url, true)
  })

  it('leads to this server, which says why, where the settings do not allow the address', async () => {
    for (const [storageUri, code] of [
      ['s3://somebody-elses/a.json', 'UNSUPPORTED_STORAGE_SCHEME'],
      ['file:///../../etc/passwd', 'STORAGE_URI_REJECTED'],
    ] as const) {
      const { data, errors = [] } = await ask(server, await insertForeign(server.databaseUrl, { storageUri }))
      assert.deepEqual(
        errors.map(({ path, extensions }) => [path?.join('.'), extensions.code]),
        [['snapshotById.signedUrl', code]],
      )
      const { download } = data.snapshotById ?? assert.fail()
      assert.equal(download.direct, false)
      const { status, body } = await send(server.url, { target: download.url.slice(server.url.length) })
      assert.deepEqual([status, JSON.parse(body.toString()).code], [422, code])
    }
  })
})

await describeWith('a ticket for an object in S3', s3, (service) => {
  let server: TestServer
  before(async () => {
    server = await startServer({ env: { ...s3Env(service), ...LIMITS } })
  })
  after(() => server[Symbol.asyncDispose]())
  const capture = async () => storedOf(await put(server.url, OBJECT))

  itIsATicket(capture, () => server, OBJECT)

  it('leads past this server to the store, as its signed URL does', async () => {
    const { download, signedUrl } = await linked(server, (await capture()).snapshotId)
    assert.equal(download.direct, true)
    for (const url of [download.url, signedUrl ?? ''])
      assert.equal(new URL(url).origin, new URL(service.endpoint).origin)
  })

  it('gives the same file names there', async () => {
    const { snapshotId } = await capture()
    for (const [filename, expected] of FILENAMES) {
      const { download } = await linked(server, snapshotId, { filename })
      assert.equal(download.filename, expected)
      const response = await fetch(download.url)
      await response.body?.cancel()
      assert.equal(nameIn(response.headers.get('content-disposition')), expected)
    }
  })

  it('leads to this server where the object is coded and the client may not know the coding', async () => {
    const headers = { 'content-encoding': 'gzip' }
    const { snapshotId } = storedOf(await put(server.url, gzipSync(OBJECT), { headers }))
    const { download } = await linked(server, snapshotId)
    assert.deepEqual([download.direct, download.contentEncoding], [false, 'identity'])
    const { body } = await send(server.url, { target: download.url.slice(server.url.length) })
    assert.deepEqual([body, digestOf(body)], [OBJECT, download.digest])
  })

  it('leads to this server where another writer left a copy beside the object', async () => {
    using objects = openObjects({ storagePath: server.storagePath, s3: service })
    const storageUri = `s3://${service.bucket}/${randomUUID()}.json`
    await objects.put(storageUri, '{"in": "store"}')
    const id = await insertForeign(server.databaseUrl, { payload: '{"in": "row"}', storageUri })
    assert.equal((await linked(server, id)).download.direct, false)
    const alone = await insertForeign(server.databaseUrl, { storageUri })
    const { download } = await linked(server, alone)
    assert.equal(download.direct, true)
    assert.equal((await redeem(download)).toString(), '{"in": "store"}')
  })

  it('ends before the temporary credentials of the process, and is not made once they are over', async () => {
    const ends = Math.floor(Date.now() / 1000) * 1000 + 60_000
    await using running = await serveWithTemporary(service, ends)
    const { url, expiresAt } = (await running.ask()).data.snapshotById?.download ?? assert.fail()
    const { searchParams } = new URL(url)
    const seconds = Number(searchParams.get('X-Amz-Expires'))
    assert.ok(seconds >= 1 && seconds <= 30, String(seconds))
    assert.ok(Date.parse(expiresAt) <= ends - seconds * 1000)
    assert.equal(searchParams.get('X-Amz-Security-Token'), TOKEN)
    await using over = await serveWithTemporary(service, Date.now() - 1000)
    const { errors = [] } = await over.ask()
    assert.deepEqual(
      errors.map(({ extensions }) => extensions),
      [1, 2].map(() => ({ code: 'STORAGE_UNAVAILABLE', retryable: true })),
    )
    await over.child.waitForLine(/credentials .*expired/)
    for (const { child } of [running, over]) {
      assert.deepEqual(await child.stop(), { code: 0, signal: null })
      const printed = child.stdout() + child.stderr()
      for (const canary of [TOKEN, service.secretKey, service.accessKey, 'X-Amz-', 'sig=']) {
        assert.ok(!printed.includes(canary), canary)
      }
    }
  })
})

interface Serving extends AsyncDisposable {
  readonly child: RunningProcess
  /** For a link of an hour to an object in S3. */
  ask(): ReturnType<typeof ask>
}

/** `statelens serve` with credentials from its environment, which end at that time. */
async function serveWithTemporary(service: S3Service, ends: number): Promise<Serving> {
  await using cleanup = new AsyncDisposableStack()
  const database = cleanup.use(await freshDatabase())
  const folder = cleanup.use(await temporaryFolder())
  const { S3_ACCESS_KEY, S3_SECRET_KEY, ...settings } = s3Env(service)
  const env = {
    ...settings,
    PORT: '0',
    LOG_LEVEL: 'trace',
    DATABASE_URL: database.url,
    DATA_DIR: folder.path,
    AWS_ACCESS_KEY_ID: S3_ACCESS_KEY ?? '',
    AWS_SECRET_ACCESS_KEY: S3_SECRET_KEY ?? '',
    AWS_SESSION_TOKEN: TOKEN,
    AWS_CREDENTIAL_EXPIRATION: new Date(ends).toISOString(),
  }
  const child = cleanup.use(startProcess({ args: ['serve'], env }))
  const origin = await child.waitForUrl()
  const id = await insertForeign(database.url, { storageUri: `s3://${service.bucket}/any.json` })
  const owned = cleanup.move()
  return {
    child,
    ask: () => ask({ graphql: graphqlAt(origin) }, id),
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  }
}

/** The exact name in a header that can carry nothing else. */
function nameIn(header: string | null | undefined): string {
  const [, exact = ''] =
    /^attachment; filename="[\x20-\x7e]*"; filename\*=UTF-8''([\w.~!%-]+)$/.exec(header ?? '') ?? []
  assert.doesNotMatch(/filename="(.*)"; /.exec(header ?? '')?.[1] ?? '"', /["\\%]/)
  return decodeURIComponent(exact)
}
