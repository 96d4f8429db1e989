import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { after, before, describe, it } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { promisify } from 'node:util'
import { describeWith } from '../support/describe-with.ts'
import { send } from '../support/http.ts'
import { refusalOf } from '../support/put.ts'
import { startServer, type TestServer } from '../support/server.ts'
import { s3 } from '../support/services.ts'

const STATE = { documents: ['café', '東京', '🚚'], text: 'x'.repeat(5000) }
const BYTES = Buffer.from(JSON.stringify(STATE))
/** Every payload becomes an object. */
const ALL_OBJECTS = { SNAPSHOT_INLINE_MAX_BYTES: '0' }

interface Link {
  readonly snapshotId: string
  readonly url: string
}

/** Captures the state anew, and asks for a link to it; `args` as they stand in the query. */
async function link(server: TestServer, args = ''): Promise<Link> {
  const { data, errors } = await server.graphql<{
    captureSnapshot: { snapshot: { snapshotId: string; signedUrl: string } }
  }>(
    `mutation ($payload: JSON) {
      captureSnapshot(input: { runId: "run 1", stepId: "draft", payload: $payload }) { snapshot { snapshotId signedUrl${args} } }
    }`,
    { payload: STATE },
  )
  assert.equal(errors, undefined)
  const { snapshotId, signedUrl } = data.captureSnapshot.snapshot
  return { snapshotId, url: signedUrl }
}

interface Answer {
  readonly status: number
  readonly headers: ReadonlyMap<string, string>
  readonly body: Buffer
}

/** What an engineer in a terminal gets. */
async function curl(...args: readonly string[]): Promise<Answer> {
  const { stdout } = await promisify(execFile)(
    'curl',
    ['--silent', '--show-error', '--include', '--max-time', '10', ...args],
    {
      encoding: 'buffer',
      maxBuffer: 1e8,
    },
  )
  const end = stdout.indexOf('\r\n\r\n')
  const [first = '', ...lines] = stdout.subarray(0, end).toString('latin1').split('\r\n')
  const headers = new Map(
    lines.map((line) => [line.slice(0, line.indexOf(':')).toLowerCase(), line.slice(line.indexOf(':') + 1).trim()]),
  )
  return { status: Number(first.split(' ')[1]), headers, body: stdout.subarray(end + 4) }
}

/** Fetches until the answer has another status, ten seconds at most. */
async function statusAfter(status: number, url: string): Promise<Answer> {
  const deadline = performance.now() + 10_000
  let answer = await curl(url)
  while (answer.status === status && performance.now() < deadline) {
    await delay(20)
    answer = await curl(url)
  }
  return answer
}

/** The text with the character at that place replaced by another one of its alphabet. */
function alter(text: string, at: number): string {
  return text.slice(0, at) + (text[at] === 'a' ? 'b' : 'a') + text.slice(at + 1)
}

/** What holds for a link, whoever signed it. */
function itIsALink(running: () => TestServer): void {
  it('is fetched by plain curl, byte for byte', async () => {
    const server = running()
    const { status, headers, body } = await curl((await link(server)).url)
    assert.equal(status, 200)
    assert.deepEqual(body, BYTES)
    assert.equal(headers.get('content-length'), String(BYTES.length))
    assert.match(headers.get('content-type') ?? '', /^application\/json\b/)
  })

  it('names the file after the step, or as it was asked, whatever the name holds', async () => {
    const server = running()
    const disposition = async (args?: string) =>
      (await curl((await link(server, args)).url)).headers.get('content-disposition') ?? ''
    assert.match(await disposition(), /^attachment; filename="draft-\d+\.json"; filename\*=UTF-8''draft-\d+\.json$/)
    assert.match(await disposition('(disposition: INLINE, filename: "a.json")'), /^inline; filename="a\.json";/)
    assert.equal(
      await disposition('(filename: "état 🚚 (1).json")'),
      `attachment; filename="_tat _ (1).json"; filename*=UTF-8''%C3%A9tat%20%F0%9F%9A%9A%20%281%29.json`,
    )
    const nasty = await disposition('(filename: "../a\\"b\\r\\nX-Evil: 1\\r\\n\\r\\n<b>\'c;d%2e.json")')
    const [, plain = '', exact = ''] =
      /^attachment; filename="([^"\\]+)"; filename\*=UTF-8''([\w.~%-]+)$/.exec(nasty) ?? []
    assert.match(plain, /^[\x20-\x7e]+\.json$/)
    assert.doesNotMatch(decodeURIComponent(exact), /[\r\n"/\\<>]/)
  })

  it('sets no header by way of the file name', async () => {
    const server = running()
    const { headers } = await curl((await link(server, '(filename: "a\\r\\nX-Evil: 1")')).url)
    assert.equal(headers.has('x-evil'), false)
  })

  it('ends at its time', async () => {
    const server = running()
    const { url } = await link(server, '(expiresIn: 1)')
    const { status, body } = await statusAfter(200, url)
    assert.equal(status, 403)
    assert.equal(body.includes('documents'), false)
  })

  it('is refused for a life that nobody may have', async () => {
    const server = running()
    await link(server)
    for (const expiresIn of [0, -1, 86_401, 604_801, 2_147_483_647]) {
      const { data, errors } = await server.graphql<{ snapshot: { signedUrl: null } }>(
        `{ snapshot(runId: "run 1", stepId: "draft") { signedUrl(expiresIn: ${expiresIn}) } }`,
      )
      assert.deepEqual([data.snapshot.signedUrl, errors?.[0]?.extensions.code], [null, 'BAD_REQUEST'])
    }
  })

  it('dies with its snapshot, and with its run, within a second', async () => {
    const server = running()
    const deletes = [
      'mutation ($id: ID!) { deleteSnapshot(snapshotId: $id) { deleted } }',
      'mutation { deleteRun(runId: "run 1") { deleted } }',
    ]
    for (const mutation of deletes) {
      const { url, snapshotId } = await link(server)
      assert.equal((await fetch(url)).status, 200)
      assert.equal((await server.graphql(mutation, { id: snapshotId })).errors, undefined)
      const deletedAt = performance.now()
      const { status, body } = await statusAfter(200, url)
      assert.ok(performance.now() - deletedAt < 1000, `${mutation} ${performance.now() - deletedAt}`)
      assert.equal(status, 404)
      assert.equal(body.includes('documents'), false)
    }
  })
}

describe('a link to a file', () => {
  let server: TestServer
  before(async () => {
    server = await startServer({ env: ALL_OBJECTS })
  })
  after(() => server[Symbol.asyncDispose]())

  itIsALink(() => server)

  it('leads to this server, and says why it is refused', async () => {
    const { url, snapshotId } = await link(server, '(expiresIn: 1)')
    assert.ok(url.startsWith(`${server.url}/snapshots/${snapshotId}/payload?exp=`))
    const { body } = await statusAfter(200, url)
    assert.equal(JSON.parse(body.toString()).code, 'LINK_EXPIRED')
  })

  it('is gone at once when its snapshot is deleted', async () => {
    const { url, snapshotId } = await link(server)
    await server.graphql('mutation ($id: ID!) { deleteSnapshot(snapshotId: $id) { deleted } }', { id: snapshotId })
    const { status, body } = await curl(url)
    assert.deepEqual([status, JSON.parse(body.toString()).code], [404, 'NOT_FOUND'])
  })

  it('is refused when any one character of its query is another one', async () => {
    const { url } = await link(server)
    const answers = new Set<string>()
    for (let at = url.indexOf('?') + 1; at < url.length; at += 1) {
      const response = await fetch(alter(url, at))
      assert.equal(response.status, 403, `character ${at}`)
      answers.add(await response.text())
    }
    assert.equal(answers.size, 1)
    assert.equal(JSON.parse([...answers][0] ?? '').code, 'LINK_INVALID')
  })

  it('opens no other snapshot', async () => {
    const [one, two] = [await link(server), await link(server)]
    assert.equal((await curl(one.url.replace(one.snapshotId, two.snapshotId))).status, 403)
  })

  it('has one spelling: another path, order, case or addition is refused', async () => {
    const { url, snapshotId } = await link(server)
    const [path = '', query = ''] = url.slice(server.url.length).split('?')
    const [exp = '', ...rest] = query.split('&')
    const queries = [
      [...rest, exp].join('&'),
      `${query}&${exp}`,
      `${exp}&${query}`,
      `${query}&x=1`,
      `${query};x=1`,
      `${query}#`,
      `${query}&`,
      `&${query}`,
      query.replace('exp=', 'EXP='),
      query.replace('exp=', 'exp[]='),
      query.replace('disposition=attachment', 'disposition=inline'),
      query.replace('disposition=attachment', 'disposition=attachment%0d%0ax-evil:1'),
      query.replace(/exp=\d/, (start) => `exp=%3${start.at(-1)}`),
    ]
    for (const other of queries) {
      assert.deepEqual(refusalOf(await send(server.url, { target: `${path}?${other}` })), {
        status: 403,
        code: 'LINK_INVALID',
      })
    }
    const [first = ''] = snapshotId
    const escaped = `%${first.charCodeAt(0).toString(16)}${snapshotId.slice(1)}`
    for (const other of [escaped, snapshotId.toUpperCase(), snapshotId.replace(/^./, first === 'a' ? 'b' : 'a')]) {
      const target = `${path.replace(snapshotId, other)}?${query}`
      assert.deepEqual(refusalOf(await send(server.url, { target })), { status: 403, code: 'LINK_INVALID' }, other)
    }
    for (const other of [`/${path}`, `${path}/`, path.toUpperCase()]) {
      assert.equal((await send(server.url, { target: `${other}?${query}` })).status, 404, other)
    }
    assert.equal((await send(server.url, { target: `${path}?${query}` })).status, 200)
  })

  it('gives parts of the payload, and never more bytes than it has', async () => {
    const { url } = await link(server)
    const target = url.slice(server.url.length)
    const ask = (range: string) => send(server.url, { target, headers: { range } })
    const last = BYTES.length - 1
    for (const [range, start] of [
      ['bytes=0-0', 0],
      ['bytes=-1', last],
    ] as const) {
      const { status, body } = await ask(range)
      assert.deepEqual([status, body], [206, BYTES.subarray(start, start + 1)], range)
    }
    for (const range of ['bytes=0-1,3-4', 'bytes=0-9,5-20', `bytes=${Array(1000).fill('0-').join()}`]) {
      const { status, body } = await ask(range)
      assert.deepEqual([status, body.length], [200, BYTES.length], range.slice(0, 20))
    }
    assert.equal((await ask(`bytes=${BYTES.length}-`)).status, 416)
  })

  it('gives an answer that nobody keeps, takes for a page, or sees the address of', async () => {
    const { headers } = await send(server.url, { target: (await link(server)).url.slice(server.url.length) })
    assert.equal(headers['cache-control'], 'private, no-store')
    assert.equal(headers['content-type'], 'application/json')
    assert.equal(headers['x-content-type-options'], 'nosniff')
    assert.equal(headers['content-security-policy'], "default-src 'none'; sandbox")
    assert.equal(headers['referrer-policy'], 'no-referrer')
    assert.match(headers['content-disposition'] ?? '', /^attachment; /)
  })

  it('tells nobody by a tag whether the payload is still the same, but those who hold it', async () => {
    const { url } = await link(server)
    const target = url.slice(server.url.length)
    const { headers } = await send(server.url, { target })
    const conditions = { 'if-none-match': String(headers.etag) }
    assert.equal((await send(server.url, { target, headers: conditions })).status, 304)
    const forged = alter(target, target.length - 1)
    assert.deepEqual(refusalOf(await send(server.url, { target: forged, headers: conditions })), {
      status: 403,
      code: 'LINK_INVALID',
    })
  })

  it('is for GET and HEAD alone', async () => {
    const { url } = await link(server)
    const headed = await curl('--head', url)
    assert.deepEqual([headed.status, headed.headers.get('content-length')], [200, String(BYTES.length)])
    for (const method of ['POST', 'DELETE', 'PATCH']) {
      const { status, headers } = await curl('--request', method, url)
      assert.deepEqual([status, headers.get('allow')], [405, 'GET, HEAD, OPTIONS'], method)
    }
  })

  it('is worth nothing at a deployment with another secret', async () => {
    const { url } = await link(server)
    const { databaseUrl, storagePath } = server
    await using other = await startServer({ env: ALL_OBJECTS, store: { databaseUrl, storagePath } })
    assert.equal((await curl(url.replace(server.url, other.url))).status, 403)
  })

  it('is null for an inline payload', async () => {
    await using plain = await startServer()
    assert.equal((await link(plain)).url, null)
  })
})

await describeWith('a link to S3', s3, ({ endpoint, bucket, region, accessKey, secretKey }) => {
  const env = {
    ...ALL_OBJECTS,
    SNAPSHOT_STORAGE_BACKEND: 's3',
    S3_BUCKET: bucket,
    S3_REGION: region,
    S3_ENDPOINT_URL: endpoint,
    S3_ACCESS_KEY: accessKey,
    S3_SECRET_KEY: secretKey,
    S3_FORCE_PATH_STYLE: 'true',
  }
  let server: TestServer
  before(async () => {
    server = await startServer({ env })
  })
  after(() => server[Symbol.asyncDispose]())

  itIsALink(() => server)

  it('leads to the storage itself', async () => {
    assert.equal(new URL((await link(server)).url).origin, new URL(endpoint).origin)
  })

  it('is refused when a character of its signature, its key or its time is another one', async () => {
    const { url } = await link(server, '(expiresIn: 600)')
    const signature = url.indexOf('X-Amz-Signature=') + 'X-Amz-Signature='.length
    const places = Array.from({ length: 8 }, (_none, index) => signature + index * 8)
    const key = new URL(url).pathname.length + new URL(url).origin.length - 8
    for (const altered of [...places, key].map((at) => alter(url, at))) {
      assert.equal((await fetch(altered)).status, 403, altered)
    }
    assert.equal((await fetch(url.replace('X-Amz-Expires=600', 'X-Amz-Expires=601'))).status, 403)
    assert.equal((await fetch(url)).status, 200)
  })

  it('carries the public endpoint, and is valid there', async () => {
    await using proxied = await startServer({
      env: { ...env, S3_PUBLIC_ENDPOINT_URL: endpoint.replace('127.0.0.1', 'localhost') },
    })
    const { url } = await link(proxied)
    assert.equal(new URL(url).hostname, 'localhost')
    assert.deepEqual((await curl('--ipv4', url)).body, BYTES)
  })
})
