import assert from 'node:assert/strict'
import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { createServer, type RequestListener, request, type Server } from 'node:http'
import { type AddressInfo, createServer as createTcpServer } from 'node:net'
import { after, before, it } from 'node:test'
import { type BrowserContext, chromium as browserType, type Page } from 'playwright-core'
import { dataOf } from '../support/answers.ts'
import { freshDatabase } from '../support/database.ts'
import { describeWith, isUnavailable } from '../support/describe-with.ts'
import { startFaultProxy } from '../support/fault-proxy.ts'
import { s3Env } from '../support/objects.ts'
import { startProcess } from '../support/process.ts'
import { put, storedOf } from '../support/put.ts'
import { graphqlAt } from '../support/server.ts'
import { chromium, type S3Service, s3 } from '../support/services.ts'
import { temporaryFolder } from '../support/tmp.ts'

const PREFIX = '/state'
/** A page that were one would say so in its title. */
const SCRIPT = '<script>document.title = "run"</script><h1>a state</h1>'
const INLINE = Buffer.from(JSON.stringify({ small: 1, SCRIPT, place: '東京' }))
const OBJECT = Buffer.from(`{"large": "${'🚚'.repeat(100_000)}", "n": 1.0, "html": ${JSON.stringify(SCRIPT)}}`)
const FLAGS = ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-sync'].concat([
  '--disable-background-networking',
  '--disable-component-update',
  '--host-resolver-rules=MAP *.example.test 127.0.0.1',
])

/** What is asked for, and the name that a browser saves it under. */
const NAMES: readonly (readonly [asked: string, saved: string])[] = [
  ['état "1"; 東京 🚚.json', 'état _1_; 東京 🚚.json'],
  ['a\r\nX-Evil: 1\r\n\r\nb.json', 'a_X-Evil_ 1_b.json'],
  [`${'x'.repeat(300)}.json`, `${'x'.repeat(194)}.json`],
  ['..', 'payload.json'],
  ['../../etc/passwd.json', '_.._etc_passwd.json'],
  ['.hidden.json', 'hidden.json'],
  ['b.json . ', 'b.json'],
  ['NUL.json', '_NUL.json'],
  ['???', 'payload.json'],
  ['cod\u202egnp.json', 'codgnp.json'],
  ['c\ud83d.json', 'c_.json'],
]

interface Ticket {
  readonly url: string
  readonly direct: boolean
  readonly filename: string
}

const service = async () => {
  const [store, browser] = await Promise.all([s3(), chromium()])
  if (isUnavailable(store)) return store
  return isUnavailable(browser) ? browser : { store, browser }
}

await describeWith('links in a browser that knows neither the server nor the store', service, (services) => {
  const cleanup = new AsyncDisposableStack()
  const ids: Record<'inline' | 'object', string> = { inline: '', object: '' }
  /** Origins as the browser knows them. */
  let app: string
  let files: string
  let serve: Awaited<ReturnType<typeof startBehindProxies>>
  let context: BrowserContext
  let page: Page

  before(async () => {
    serve = cleanup.use(await startBehindProxies(services.store))
    app = serve.app
    files = serve.files
    ids.inline = storedOf(await put(serve.origin, INLINE)).snapshotId
    ids.object = storedOf(await put(serve.origin, OBJECT)).snapshotId
    const profile = cleanup.use(await temporaryFolder())
    const { executablePath } = services.browser
    context = await browserType.launchPersistentContext(profile.path, { executablePath, args: FLAGS })
    cleanup.defer(() => context.close())
    page = await context.newPage()
  })
  after(() => cleanup.disposeAsync())

  async function ticketFor(id: string, args: { disposition?: string; filename?: string } = {}): Promise<Ticket> {
    const { snapshotById } = await dataOf(
      serve.graphql<{ snapshotById: { download: Ticket } }>(
        `query($id: ID!, $disposition: Disposition! = ATTACHMENT, $filename: String) {
          snapshotById(snapshotId: $id) {
            download(disposition: $disposition, filename: $filename) { url direct filename }
          }
        }`,
        { id, ...args },
      ),
    )
    return snapshotById.download
  }

  /** The file that following the link from a page of the application saves. */
  async function save(url: string): Promise<{ readonly name: string; readonly bytes: Buffer }> {
    await page.goto(`${app}${PREFIX}/health/live`)
    await page.evaluate(`document.body.innerHTML = '<a>save</a>'`)
    await page.locator('a').evaluate((link, href) => link.setAttribute('href', href), url)
    const [download] = await Promise.all([page.waitForEvent('download'), page.locator('a').click()])
    const bytes = await readFile(await download.path())
    await download.delete()
    return { name: download.suggestedFilename(), bytes }
  }

  it('lead to hosts of the browser: to the store past the server, and to the server below its path', async () => {
    const object = await ticketFor(ids.object)
    assert.equal(object.direct, true)
    assert.ok(object.url.startsWith(`${files}/`), new URL(object.url).origin)
    const inline = await ticketFor(ids.inline)
    assert.equal(inline.direct, false)
    assert.ok(inline.url.startsWith(`${app}${PREFIX}/snapshots/${ids.inline}/payload?`))
  })

  for (const [kind, bytes] of [
    ['object', OBJECT],
    ['inline', INLINE],
  ] as const) {
    it(`save the ${kind} payload byte for byte, under its name`, async () => {
      const { url, filename } = await ticketFor(ids[kind])
      assert.deepEqual(await save(url), { name: filename, bytes })
    })

    it(`show the ${kind} payload as text: nothing in it runs`, async () => {
      const { url } = await ticketFor(ids[kind], { disposition: 'INLINE' })
      const response = await page.goto(url)
      assert.equal(response?.status(), 200)
      assert.deepEqual(await response?.body(), bytes)
      assert.deepEqual([await page.title(), await page.locator('h1, script').count()], ['', 0])
    })

    it(`save the ${kind} payload under a name that is safe, whatever was asked for`, async () => {
      for (const [asked, saved] of NAMES) {
        const { url, filename } = await ticketFor(ids[kind], { filename: asked })
        const { name, bytes: got } = await save(url)
        assert.deepEqual([filename, name], [saved, saved], JSON.stringify(asked))
        assert.ok(got.equals(bytes))
      }
    })
  }

  it('leave no signature in the log, whether they are good or not', async () => {
    for (const id of Object.values(ids)) {
      const { url } = await ticketFor(id, { disposition: 'INLINE' })
      const changed = url.replace(/sig(?:nature)?=/i, (name) => `${name}-`)
      assert.equal((await page.goto(changed))?.status(), 403)
    }
    assert.match(serve.printed(), /listening/)
    assert.doesNotMatch(serve.printed(), /sig=|kid=|X-Amz-/i)
  })
})

/** `statelens serve` and the store, both on 127.0.0.1; in front of them what gives them other names and another path. */
async function startBehindProxies(store: S3Service) {
  await using cleanup = new AsyncDisposableStack()
  const database = cleanup.use(await freshDatabase())
  const folder = cleanup.use(await temporaryFolder())
  const { hostname: host, port: storePort } = new URL(store.endpoint)
  const storeProxy = cleanup.use(await startFaultProxy({ host, port: Number(storePort) }))
  const serverPort = await freePort()
  const reverseProxy = cleanup.use(await listen(createServer(stripPrefix(serverPort))))
  const app = `http://app.example.test:${reverseProxy.port}`
  const files = `http://files.example.test:${storeProxy.port}`
  const env = {
    ...s3Env(store),
    S3_FORCE_PATH_STYLE: 'true',
    S3_PUBLIC_ENDPOINT_URL: files,
    PORT: String(serverPort),
    PUBLIC_URL: `${app}${PREFIX}`,
    DATABASE_URL: database.url,
    DATA_DIR: folder.path,
    SNAPSHOT_INLINE_MAX_BYTES: '1000',
    LOG_LEVEL: 'trace',
  }
  const child = cleanup.use(startProcess({ args: ['serve'], env }))
  assert.equal(await child.waitForUrl(), app)
  const origin = `http://127.0.0.1:${serverPort}`
  const owned = cleanup.move()
  const printed = () => child.stdout() + child.stderr()
  return { app, files, origin, graphql: graphqlAt(origin), printed, [Symbol.asyncDispose]: () => owned.disposeAsync() }
}

/** A reverse proxy: what is asked below the prefix goes to the port without it; all else is not there. */
function stripPrefix(port: number): RequestListener {
  return (incoming, outgoing) => {
    const { method, headers, url = '' } = incoming
    if (!url.startsWith(`${PREFIX}/`)) {
      outgoing.writeHead(404).end()
      return
    }
    const onward = request({ host: '127.0.0.1', port, method, headers, path: url.slice(PREFIX.length) }, (answer) => {
      outgoing.writeHead(answer.statusCode ?? 502, answer.headers)
      answer.pipe(outgoing)
    })
    onward.once('error', () => outgoing.destroy())
    incoming.pipe(onward)
  }
}

async function listen(server: Server): Promise<{ readonly port: number } & AsyncDisposable> {
  await once(server.listen(0, '127.0.0.1'), 'listening')
  const { port } = server.address() as AddressInfo
  const close = async () => {
    const closed = once(server, 'close')
    server.close()
    server.closeAllConnections()
    await closed
  }
  return { port, [Symbol.asyncDispose]: close }
}

/** One that nobody listens on: the server must be told its public address before it has one. */
async function freePort(): Promise<number> {
  const probe = createTcpServer()
  await once(probe.listen(0, '127.0.0.1'), 'listening')
  const { port } = probe.address() as AddressInfo
  await new Promise((resolve) => probe.close(resolve))
  return port
}
