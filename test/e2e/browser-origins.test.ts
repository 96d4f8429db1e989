import assert from 'node:assert/strict'
import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { createServer, request as httpRequest, type RequestListener } from 'node:http'
import type { AddressInfo } from 'node:net'
import { pipeline } from 'node:stream/promises'
import { after, before, describe, it } from 'node:test'
import {
  type CORSRule,
  CreateBucketCommand,
  PutBucketCorsCommand,
  PutObjectCommand,
  S3Client,
} from '@aws-sdk/client-s3'
import { getSignedUrl } from '@aws-sdk/s3-request-presigner'
import { type BrowserContext, chromium as browserType, type Page } from 'playwright-core'
import { freePort } from '../support/broker/host.ts'
import { describeWith, isUnavailable } from '../support/describe-with.ts'
import { s3Env } from '../support/objects.ts'
import { put, type Stored, storedOf } from '../support/put.ts'
import { startServer, type TestServer } from '../support/server.ts'
import { chromium, type S3Service, s3 } from '../support/services.ts'
import { temporaryFolder } from '../support/tmp.ts'

const STATE = Buffer.from(JSON.stringify({ cities: ['Zürich', '東京'], text: 'x'.repeat(200_000) }))
const QUIET = ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-sync'].concat([
  '--disable-background-networking',
  '--disable-component-update',
  '--host-resolver-rules=MAP *.example.test 127.0.0.1',
])

const SANDBOX = '/sandbox'

interface Asked {
  readonly url: string
  readonly method?: string
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: string
  readonly mode?: 'cors' | 'no-cors'
  readonly credentials?: 'include'
}

/** What a page's script got to see of an answer. */
interface Seen {
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  readonly text: string
}

/** `fetch` in a page; null where the browser kept the answer from it. */
function fetchIn(page: Page, asked: Asked): Promise<Seen | null> {
  return page.evaluate(async ({ url, ...init }) => {
    try {
      const response = await fetch(url, init)
      return { status: response.status, headers: Object.fromEntries(response.headers), text: await response.text() }
    } catch (error) {
      if (error instanceof TypeError) return null
      throw error
    }
  }, asked)
}

async function seenBy(page: Page, asked: Asked): Promise<Seen> {
  const seen = await fetchIn(page, asked)
  assert.ok(seen, `${asked.method ?? 'GET'} was kept from the page`)
  return seen
}

async function openBrowser(executablePath: string): Promise<BrowserContext & AsyncDisposable> {
  await using cleanup = new AsyncDisposableStack()
  const profile = cleanup.use(await temporaryFolder())
  const context = await browserType.launchPersistentContext(profile.path, { executablePath, args: QUIET })
  cleanup.defer(() => context.close())
  const owned = cleanup.move()
  return Object.assign(context, { [Symbol.asyncDispose]: () => owned.disposeAsync() })
}

async function open(context: BrowserContext, address: string): Promise<Page & AsyncDisposable> {
  const page = await context.newPage()
  await page.goto(address)
  return Object.assign(page, { [Symbol.asyncDispose]: () => page.close() })
}

interface Listening extends AsyncDisposable {
  readonly port: number
}

async function listen(onRequest: RequestListener): Promise<Listening> {
  const server = createServer(onRequest)
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    port: (server.address() as AddressInfo).port,
    async [Symbol.asyncDispose]() {
      const closed = once(server, 'close')
      server.close()
      server.closeAllConnections()
      await closed
    },
  }
}

/** An empty page for every host and path; in the sandbox it has no origin, and says `null` in its place. */
function servePages(): Promise<Listening> {
  return listen(({ url }, response) => {
    if (url === SANDBOX) response.setHeader('content-security-policy', 'sandbox allow-scripts')
    response.writeHead(200, { 'content-type': 'text/html' }).end('<!doctype html><title>page</title>')
  })
}

/** Hands on what lies under the path, which it takes off; everything else is not found. */
function serveUnder(prefix: string, port: number): Promise<Listening> {
  return listen((request, response) => {
    const { url = '', method, headers } = request
    if (!url.startsWith(`${prefix}/`)) {
      response.writeHead(404).end()
      return
    }
    const onward = httpRequest({ port, method, headers, path: url.slice(prefix.length) }, (answer) => {
      response.writeHead(answer.statusCode ?? 502, answer.headers)
      pipeline(answer, response).catch(() => response.destroy())
    })
    pipeline(request, onward).catch(() => response.destroy())
  })
}

/** Captures the state on a step of its own. */
async function store(server: TestServer, stepId: string): Promise<Stored> {
  return storedOf(await put(server.url, STATE, { runId: 'browsed', stepId }))
}

async function linkTo(server: TestServer, stepId: string): Promise<string> {
  const { data } = await server.graphql<{ snapshot: { signedUrl: string } }>(
    `{ snapshot(runId: "browsed", stepId: "${stepId}") { signedUrl } }`,
  )
  return data.snapshot.signedUrl
}

async function isStored(server: TestServer, stepId: string): Promise<boolean> {
  const { data } = await server.graphql(`{ snapshot(runId: "browsed", stepId: "${stepId}") { snapshotId } }`)
  return data['snapshot'] !== null
}

const JSON_TYPE = { 'content-type': 'application/json' }
const queryOf = (query: string) => ({ method: 'POST', headers: JSON_TYPE, body: JSON.stringify({ query }) })

await describeWith('a page of another origin', chromium, ({ executablePath }) => {
  const cleanup = new AsyncDisposableStack()
  let context: BrowserContext
  let server: TestServer
  let stored: Stored
  let ui: string
  let other: string

  before(async () => {
    const { port } = cleanup.use(await servePages())
    ui = `http://ui.example.test:${port}`
    other = `http://other.example.test:${port}`
    const env = { CORS_ORIGINS: `https://elsewhere.example,${ui}`, SNAPSHOT_INLINE_MAX_BYTES: '0' }
    server = cleanup.use(await startServer({ env }))
    stored = await store(server, 'first')
    context = cleanup.use(await openBrowser(executablePath))
  })
  after(() => cleanup.disposeAsync())

  describe('that is allowed', () => {
    it('asks by GraphQL, and reads what failed', async () => {
      await using page = await open(context, ui)
      const query = '{ snapshot(runId: "browsed", stepId: "first", useCache: false) { sizeBytes payload } }'
      const answer = await seenBy(page, { url: `${server.url}/graphql`, ...queryOf(query) })
      assert.deepEqual(JSON.parse(answer.text).data.snapshot, {
        sizeBytes: STATE.length,
        payload: JSON.parse(STATE.toString()),
      })
      const refused = await seenBy(page, { url: `${server.url}/graphql`, ...queryOf('{ nothing }') })
      assert.equal(refused.status, 200)
      assert.equal(JSON.parse(refused.text).errors[0].extensions.code, 'GRAPHQL_VALIDATION_FAILED')
      const url = `${server.url}/graphql?query={__typename}`
      for (const headers of [{ 'graphql-require-preflight': '1' }, undefined]) {
        const got = await seenBy(page, headers ? { url, headers } : { url })
        assert.equal(got.text, '{"data":{"__typename":"Query"}}')
      }
    })

    it('reads a payload, a part of it, and whether it has it already', async () => {
      await using page = await open(context, ui)
      const url = `${server.url}/snapshots/${stored.snapshotId}/payload`
      const whole = await seenBy(page, { url })
      assert.equal(whole.text, STATE.toString())
      const etag = whole.headers['etag'] ?? ''
      assert.equal(etag, `"${stored.digest.slice('sha256:'.length)}"`)
      assert.equal(whole.headers['content-length'], String(STATE.length))
      const part = await seenBy(page, { url, headers: { range: 'bytes=1-8', 'if-range': etag } })
      assert.deepEqual([part.status, part.text], [206, '"cities"'])
      assert.equal(part.headers['content-range'], `bytes 1-8/${STATE.length}`)
      const known = await seenBy(page, { url, headers: { 'if-none-match': etag } })
      assert.deepEqual([known.status, known.text], [304, ''])
      const missing = await seenBy(page, { url: url.replace(/.\/payload$/, '/payload') })
      assert.deepEqual([missing.status, JSON.parse(missing.text).code], [404, 'NOT_FOUND'])
    })

    it('reads a signed link, and the name in it', async () => {
      await using page = await open(context, ui)
      const { text, headers } = await seenBy(page, { url: await linkTo(server, 'first') })
      assert.equal(text, STATE.toString())
      assert.match(headers['content-disposition'] ?? '', /^attachment; filename=/)
    })

    it('captures a state, and reads where it lies', async () => {
      await using page = await open(context, ui)
      const target = '/runs/browsed/steps/by%20a%20page/snapshot?kind=OUTPUT'
      const headers = { ...JSON_TYPE, 'idempotency-key': 'one', authorization: 'Bearer nobody looks at it' }
      const asked = { url: server.url + target, method: 'PUT', headers, body: STATE.toString() }
      const first = await seenBy(page, asked)
      assert.equal(first.status, 201)
      assert.equal((await seenBy(page, asked)).status, 200)
      const { text } = await seenBy(page, { url: server.url + first.headers['location'] })
      assert.equal(text, STATE.toString())
    })

    it('may send no cookies', async () => {
      await using page = await open(context, ui)
      assert.equal(await fetchIn(page, { url: `${server.url}/health/live`, credentials: 'include' }), null)
    })
  })

  describe('that is not', () => {
    it('reads nothing, on any route', async () => {
      await using page = await open(context, other)
      for (const asked of [
        { url: `${server.url}/graphql`, ...queryOf('{ __typename }') },
        { url: `${server.url}/graphql?query={__typename}`, headers: { 'graphql-require-preflight': '1' } },
        { url: `${server.url}/graphql?query={__typename}` },
        { url: `${server.url}/snapshots/${stored.snapshotId}/payload` },
        { url: await linkTo(server, 'first') },
        { url: `${server.url}/health/ready` },
        { url: `${server.url}/nothing` },
      ]) {
        assert.equal(await fetchIn(page, asked), null, asked.url)
      }
    })

    it('has no query run by GET, as an image or a form could send one', async () => {
      await using page = await open(context, other)
      const url = `${server.url}/graphql?query=${encodeURIComponent('{ runs { nodes { runId } } }')}`
      for (const mode of ['no-cors', 'cors'] as const) {
        server.statements.length = 0
        await fetchIn(page, { url, mode })
        assert.deepEqual(server.statements, [], mode)
      }
    })

    it('changes nothing, also with a request that asks nobody first', async () => {
      await using page = await open(context, other)
      const url = `${server.url}/runs/browsed/steps/hostile/snapshot`
      assert.equal(await fetchIn(page, { url, method: 'PUT', headers: JSON_TYPE, body: '{}' }), null)
      const mutation =
        'mutation { captureSnapshot(input: { runId: "browsed", stepId: "hostile", payload: 1 }) { created } }'
      const simple = { method: 'POST', mode: 'no-cors', headers: { 'content-type': 'text/plain' } } as const
      const form = { url: `${server.url}/graphql`, ...simple, body: JSON.stringify({ query: mutation }) }
      assert.equal((await seenBy(page, form)).status, 0)
      assert.equal(await isStored(server, 'hostile'), false)
    })

    it('nor does a page without an origin read', async () => {
      await using page = await open(context, ui + SANDBOX)
      assert.equal(await fetchIn(page, { url: `${server.url}/health/live` }), null)
    })
  })

  it('reads nothing at a server that allows none', async () => {
    const { databaseUrl, storagePath } = server
    await using closed = await startServer({ store: { databaseUrl, storagePath } })
    await using page = await open(context, ui)
    assert.equal(await fetchIn(page, { url: `${closed.url}/health/live` }), null)
    assert.equal(await fetchIn(page, { url: `${closed.url}/graphql`, ...queryOf('{ __typename }') }), null)
  })

  it('reads at a server that allows all, also where it has no origin', async () => {
    const { databaseUrl, storagePath } = server
    await using generous = await startServer({ env: { CORS_ORIGINS: '*' }, store: { databaseUrl, storagePath } })
    for (const address of [other, ui + SANDBOX]) {
      await using page = await open(context, address)
      const { text } = await seenBy(page, { url: `${generous.url}/graphql`, ...queryOf('{ __typename }') })
      assert.equal(text, '{"data":{"__typename":"Query"}}')
    }
  })

  it('finds GraphiQL under a path that a proxy takes off, and runs a query', async () => {
    const port = await freePort()
    await using proxy = await serveUnder('/states', port)
    const publicUrl = `http://127.0.0.1:${proxy.port}/states`
    const { databaseUrl, storagePath } = server
    const env = { PORT: String(port), PUBLIC_URL: publicUrl }
    await using _behind = await startServer({ env, store: { databaseUrl, storagePath } })
    const query = '{ snapshot(runId: "browsed", stepId: "first") { kind sizeBytes } }'
    await using page = await open(context, `${publicUrl}/graphql?query=${encodeURIComponent(query)}`)
    await page.locator('.graphiql-query-editor').getByText('browsed').first().waitFor()
    const answered = page.waitForResponse((response) => response.request().postData()?.includes('browsed') ?? false)
    await page.locator('.graphiql-execute-button').click()
    await page.locator('.result-window').getByText('sizeBytes').first().waitFor()
    const answer = await answered
    assert.equal(answer.url(), `${publicUrl}/graphql`)
    assert.equal((await answer.json()).data.snapshot.sizeBytes, STATE.length)
  })
})

async function browserAndStore() {
  const [browser, service] = [await chromium(), await s3()]
  if (isUnavailable(browser)) return browser
  return isUnavailable(service) ? service : { ...browser, service }
}

/** A bucket of its own, with the rules that the documentation gives for that origin. */
async function makeBucket(service: S3Service, origin: string): Promise<S3Service & { readonly client: S3Client }> {
  const { endpoint, region, accessKey: accessKeyId, secretKey: secretAccessKey } = service
  const credentials = { accessKeyId, secretAccessKey }
  const client = new S3Client({ endpoint, region, credentials, forcePathStyle: true })
  const bucket = `pages-${Date.now()}`
  await client.send(new CreateBucketCommand({ Bucket: bucket }))
  const guide = await readFile(new URL('../../docs/http.md', import.meta.url), 'utf8')
  const [, rules = ''] = /--cors-configuration '(\{.*?\n\})'/s.exec(guide) ?? []
  const { CORSRules }: { CORSRules: CORSRule[] } = JSON.parse(rules.replace('https://ui.example.com', origin))
  await client.send(new PutBucketCorsCommand({ Bucket: bucket, CORSConfiguration: { CORSRules } }))
  return { ...service, bucket, client }
}

await describeWith(
  'a page and a bucket with the rules of the guide',
  browserAndStore,
  ({ executablePath, service }) => {
    const cleanup = new AsyncDisposableStack()
    let context: BrowserContext
    let bucket: Awaited<ReturnType<typeof makeBucket>>
    let ui: string
    let other: string

    before(async () => {
      const { port } = cleanup.use(await servePages())
      ui = `http://ui.example.test:${port}`
      other = `http://other.example.test:${port}`
      bucket = await makeBucket(service, ui)
      cleanup.defer(() => bucket.client.destroy())
      context = cleanup.use(await openBrowser(executablePath))
    })
    after(() => cleanup.disposeAsync())

    it('an allowed page reads a link that leads to the store', async () => {
      await using server = await startServer({ env: { ...s3Env(bucket), SNAPSHOT_INLINE_MAX_BYTES: '0' } })
      await store(server, 'first')
      const url = await linkTo(server, 'first')
      assert.equal(new URL(url).origin, new URL(bucket.endpoint).origin)
      await using page = await open(context, ui)
      const { text, headers } = await seenBy(page, { url })
      assert.equal(text, STATE.toString())
      assert.match(headers['content-disposition'] ?? '', /^attachment; filename=/)
      assert.ok(headers['etag'])
      const part = await seenBy(page, { url, headers: { range: 'bytes=1-8' } })
      assert.deepEqual([part.text, part.headers['content-range']], ['"cities"', `bytes 1-8/${STATE.length}`])
      await using stranger = await open(context, other)
      assert.equal(await fetchIn(stranger, { url }), null)
    })

    it('an allowed page sends bytes to the store itself', async () => {
      const command = new PutObjectCommand({ Bucket: bucket.bucket, Key: 'sent', ContentType: 'application/json' })
      const url = await getSignedUrl(bucket.client, command, { expiresIn: 60 })
      const asked = { url, method: 'PUT', headers: JSON_TYPE, body: STATE.toString() }
      await using stranger = await open(context, other)
      assert.equal(await fetchIn(stranger, asked), null)
      await using page = await open(context, ui)
      const { status, headers } = await seenBy(page, asked)
      assert.equal(status, 200)
      assert.ok(headers['etag'])
    })
  },
)
