import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { buffer } from 'node:stream/consumers'
import { after, before, describe, it } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { gzipSync } from 'node:zlib'
import { AppError } from '../../src/errors.ts'
import { createCaptureRoute } from '../../src/server/capture-route.ts'
import type { Pace } from '../../src/server/pace.ts'
import { describeWith } from '../support/describe-with.ts'
import { serveRoutes } from '../support/front.ts'
import { send } from '../support/http.ts'
import { filesBelow, s3Env } from '../support/objects.ts'
import { eventually, put, refusalOf, type Stored, startPut, storedOf } from '../support/put.ts'
import { countRows } from '../support/rows.ts'
import { startServer, type TestServer } from '../support/server.ts'
import { s3 } from '../support/services.ts'

/** What a parser that writes JSON again would change, or could not hold. */
const DOCUMENTS: Readonly<Record<string, string>> = {
  'keys out of order': '{"b":1,"a":2,"10":3,"9":4}',
  'duplicate keys': '{"a":1,"a":{"a":2,"a":3}}',
  whitespace: ' \r\n\t{ "a" :\t[ 1 , 2 ]\n}\n\n ',
  numbers: '[1.0,-0,-0.0,1e400,-1E+400,1e-400,9007199254740993,123456789012345678901234567890,0.1e1,1E2]',
  'escapes that need none': '"\\u0041\\/\\u00e9\\b"',
  'an escaped NUL': '{"\\u0000":"a\\u0000b"}',
  'lone surrogates': '["\\ud800","\\udfff x","\\udc00\\ud800"]',
  'characters of four bytes': `"${'🙂'.repeat(300)}"`,
  'a prototype': '{"__proto__":{"polluted":true},"constructor":{"prototype":{}}}',
  '512 levels': '['.repeat(512) + ']'.repeat(512),
  null: 'null',
  'a scalar': '-0',
}

const INVALID: Readonly<Record<string, string | Buffer>> = {
  nothing: '',
  'whitespace alone': '  \n',
  'half a document': '{"a":[1,2',
  'two documents': '{} {}',
  NaN: '{"a":NaN}',
  'a comment': '{} // x',
  'a trailing comma': '[1,]',
  'a byte order mark': '\ufeff{}',
  '513 levels': '['.repeat(513) + ']'.repeat(513),
  'a raw NUL': '"\0"',
  'broken UTF-8': Buffer.from([0x22, 0xf0, 0x9f, 0x99, 0x22]),
  'a raw surrogate': Buffer.from([0x22, 0xed, 0xa0, 0x80, 0x22]),
}

const INLINE_MAX_BYTES = 2000
const sha256 = (bytes: string | Buffer) => createHash('sha256').update(bytes).digest()

/** So long that it becomes an object. */
const padded = (document: string | Buffer) =>
  Buffer.concat([Buffer.from(document), Buffer.alloc(INLINE_MAX_BYTES, ' ')])

function* cut(bytes: Buffer, step: number): Generator<Buffer> {
  for (let at = 0; at < bytes.length; at += step) yield bytes.subarray(at, at + step)
}

async function read(server: TestServer, { snapshotId }: Stored, headers = {}) {
  return await send(server.url, { target: `/snapshots/${snapshotId}/payload`, headers })
}

async function liveObjects({ databaseUrl }: TestServer): Promise<number> {
  return await countRows(databaseUrl, "statelens_objects where state = 'live'")
}

function testCapture(name: string, env: Record<string, string>): void {
  describe(`PUT into ${name}`, () => {
    let server: TestServer
    before(async () => {
      server = await startServer({ env: { ...env, SNAPSHOT_INLINE_MAX_BYTES: String(INLINE_MAX_BYTES) } })
    })
    after(() => server[Symbol.asyncDispose]())

    /** No row, and no object that a sweep leaves. */
    async function assertNothingLeft(runId: string): Promise<void> {
      for (const table of ['state_snapshots', 'statelens_runs', 'statelens_steps']) {
        assert.equal(await countRows(server.databaseUrl, `${table} where run_id = '${runId}'`), 0, table)
      }
      await eventually(async () => {
        const left = await countRows(server.databaseUrl, "statelens_objects where state <> 'live'")
        assert.equal(left, 0)
        if (name === 'files') assert.equal((await filesBelow(server.storagePath)).length, await liveObjects(server))
      })
    }

    it('gives back the bytes that were sent, inline and as an object, whole and in ranges', async () => {
      for (const [what, document] of Object.entries(DOCUMENTS)) {
        for (const bytes of [Buffer.from(document), padded(document)]) {
          for (const body of [bytes, cut(bytes, 7)]) {
            const stored = storedOf(await put(server.url, body, { stepId: what }))
            const tier = bytes.length > INLINE_MAX_BYTES ? 'OBJECT' : 'INLINE'
            const digest = `sha256:${sha256(bytes).toString('hex')}`
            assert.deepEqual([stored.storageTier, stored.sizeBytes, stored.digest], [tier, bytes.length, digest], what)
            const whole = await read(server, stored)
            assert.ok(whole.body.equals(bytes), what)
            const [half, end] = [Math.floor(bytes.length / 2), bytes.length - 1]
            if (half === 0) continue
            const first = await read(server, stored, { range: `bytes=0-${half - 1}` })
            const second = await read(server, stored, { range: `bytes=${half}-` })
            assert.deepEqual([first.status, second.headers['content-range']], [206, `bytes ${half}-${end}/${end + 1}`])
            assert.ok(Buffer.concat([first.body, second.body]).equals(bytes), what)
          }
        }
      }
    })

    it('refuses what is no JSON, and nothing of it stays', async () => {
      for (const [what, document] of Object.entries(INVALID)) {
        const late = Buffer.concat([Buffer.alloc(3 * INLINE_MAX_BYTES, ' '), Buffer.from(document)])
        for (const body of [Buffer.from(document), cut(late, 1000)]) {
          const refusal = refusalOf(await put(server.url, body, { runId: 'invalid' }))
          assert.deepEqual(refusal, { status: 422, code: 'INVALID_PAYLOAD' }, what)
        }
      }
      await assertNothingLeft('invalid')
    })

    it('names the byte of a fault wherever it stands in a large state, of many that come at once', async () => {
      const good = Buffer.from(
        JSON.stringify(Array.from({ length: 8000 }, (_, index) => ({ index, ok: [true, 'é\n'] }))),
      )
      const faults = [0, 1, 63, 64, 1000, 65_535, 65_536, 65_599, 131_072, good.length - 1]
      const answers = faults.flatMap((at) => {
        const bad = Buffer.from(good)
        bad[at] = 1
        const step = 4000 + at
        return [
          put(server.url, cut(bad, step), { runId: 'faults' }).then(({ body }) => [
            at,
            JSON.parse(body.toString()).message,
          ]),
          put(server.url, cut(good, step), { stepId: String(at) }).then((answer) => [at, storedOf(answer).digest]),
        ]
      })
      const digest = `sha256:${sha256(good).toString('hex')}`
      for (const [index, [at, told]] of (await Promise.all(answers)).entries()) {
        if (index % 2 === 0) assert.match(told, new RegExp(`^Invalid JSON at byte ${at}: expected `))
        else assert.equal(told, digest)
      }
      await assertNothingLeft('faults')
    })

    it('keeps nothing of a sender that goes away, before and after it became an object', async () => {
      const objects = async () => await countRows(server.databaseUrl, 'statelens_objects')
      const before = await objects()
      for (const sizeBytes of [10, 600_000]) {
        const sending = startPut(server.url, { runId: 'gone', headers: { expect: '100-continue' } })
        sending.on('error', () => {})
        sending.flushHeaders()
        await once(sending, 'continue')
        sending.write(`["${'x'.repeat(sizeBytes)}`)
        if (sizeBytes > INLINE_MAX_BYTES) await eventually(async () => assert.equal(await objects(), before + 1))
        sending.destroy()
        await new Promise((resolve) => sending.once('close', resolve))
      }
      await assertNothingLeft('gone')
      assert.equal(await objects(), before)
    })

    it('stores a capture once that is sent twice, or twenty times at once', async () => {
      for (const bytes of [Buffer.from('{"a":1}'), padded('{"a":1}')]) {
        const live = await liveObjects(server)
        const headers = { 'idempotency-key': `key ${bytes.length}` }
        const answers = await Promise.all(Array.from({ length: 20 }, () => put(server.url, bytes, { headers })))
        assert.deepEqual(answers.map(({ status }) => status).sort(), [...Array(19).fill(200), 201])
        assert.equal(new Set(answers.map((answer) => storedOf(answer).snapshotId)).size, 1)
        const again = storedOf(await put(server.url, cut(bytes, 100), { headers }))
        assert.equal(again.created, false)
        const other = await put(server.url, padded('[2]'), { headers })
        assert.deepEqual(refusalOf(other), { status: 409, code: 'CONFLICT' })
        assert.equal(await liveObjects(server), live + (bytes.length > INLINE_MAX_BYTES ? 1 : 0))
      }
      await assertNothingLeft('nobody')
    })

    it('checks a digest that comes behind the body, and refuses one that nothing was said of', async () => {
      const announced = { trailer: 'X-Other, Content-Digest' }
      const [right, wrong] = ['', 'x'].map((more) => (bytes: Buffer) => sha256(`${bytes}${more}`).toString('base64'))
      for (const bytes of [Buffer.from('[1]'), padded('[1]')]) {
        const inTrailer = async (headers: Record<string, string>, trailers: Record<string, string>) => {
          const sending = startPut(server.url, { runId: 'behind', headers })
          sending.write(bytes)
          sending.addTrailers(trailers)
          sending.end()
          const [response] = await once(sending, 'response')
          return { status: response.statusCode, headers: response.headers, body: await buffer(response) }
        }
        storedOf(await inTrailer(announced, { 'content-digest': `sha-256=:${right?.(bytes)}:` }))
        storedOf(await inTrailer(announced, {}))
        const refused: readonly (readonly [Record<string, string>, Record<string, string>])[] = [
          [announced, { 'content-digest': `sha-256=:${wrong?.(bytes)}:` }],
          [announced, { 'content-digest': 'nonsense' }],
          [{ 'x-none': '' }, { 'content-digest': `sha-256=:${right?.(bytes)}:` }],
          [{ 'x-none': '' }, { digest: `sha-256=${wrong?.(bytes)}` }],
        ]
        for (const [headers, trailers] of refused) {
          const refusal = refusalOf(await inTrailer(headers, trailers))
          assert.deepEqual(refusal, { status: 400, code: 'BAD_REQUEST' }, JSON.stringify([headers, trailers]))
        }
      }
    })

    it('checks the digest that is announced, and keeps nothing of another body', async () => {
      for (const bytes of [Buffer.from('[1]'), padded('[1]')]) {
        const right = sha256(bytes).toString('base64')
        const wrong = sha256('other').toString('base64')
        const fine: Record<string, string>[] = [
          { 'content-digest': `sha-256=:${right}:` },
          { 'content-digest': `md5=:AAAA:, sha-256=:${right}:;x=1` },
          { 'repr-digest': `sha-512=:AAAA:` },
          { digest: `SHA-256=${right},unixsum=1` },
        ]
        const refused: Record<string, string>[] = [
          { 'content-digest': `sha-256=:${wrong}:` },
          { digest: `sha-256=${wrong}` },
          { 'content-digest': `sha-256=:${right}:`, digest: `sha-256=${wrong}` },
          { 'content-digest': `sha-256=${right}` },
          { 'content-digest': 'sha-256=:AAAA:' },
          { 'content-digest': 'nonsense' },
          { digest: `sha-256=:${right}:` },
        ]
        for (const headers of fine) storedOf(await put(server.url, bytes, { headers }))
        for (const headers of refused) {
          const refusal = refusalOf(await put(server.url, bytes, { runId: 'digest', headers }))
          assert.deepEqual(refusal, { status: 400, code: 'BAD_REQUEST' }, JSON.stringify(headers))
        }
      }
      await assertNothingLeft('digest')
    })
  })
}

testCapture('files', {})
await describeWith('a real S3 server', s3, (service) => testCapture('S3', s3Env(service)))

describe('what a PUT says beside the payload', () => {
  let server: TestServer
  before(async () => {
    server = await startServer()
  })
  after(() => server[Symbol.asyncDispose]())

  it('takes any legal id, percent-encoded once, and answers with where the payload is', async () => {
    for (const [runId, stepId] of [
      ['a/b', 'c/../d'],
      ['a b', '%2F'],
      ['a+b?c#d', '日本 🙂'],
      ['.', '..'],
    ] as const) {
      const answer = await put(server.url, '[]', { runId, stepId })
      const { snapshotId, ...said } = JSON.parse(answer.body.toString())
      assert.equal(answer.status, 201)
      assert.equal(answer.headers.location, `/snapshots/${snapshotId}/payload`)
      assert.deepEqual([said.runId, said.stepId, said.created], [runId, stepId, true])
      assert.equal((await send(server.url, { target: answer.headers.location ?? '' })).body.toString(), '[]')
    }
  })

  it('reads what the query says', async () => {
    const snapshotId = '0195d3a8-3c5e-7cc9-8a52-1f5a1c9d0e11'
    const query = `kind=OUTPUT&attempt=2&isSuccessState=true&replaySafe=false&snapshotId=${snapshotId}&piiTags=a+b&piiTags=c%26&redactionPolicy=p`
    assert.equal(storedOf(await put(server.url, '{}', { query })).snapshotId, snapshotId)
    const { data } = await server.graphql(
      'query($id: ID!) { snapshotById(snapshotId: $id) { kind attempt isSuccessState replaySafe piiTags redactionPolicy } }',
      { id: snapshotId },
    )
    assert.deepEqual(data['snapshotById'], {
      kind: 'OUTPUT',
      attempt: 2,
      isSuccessState: true,
      replaySafe: false,
      piiTags: ['a b', 'c&'],
      redactionPolicy: 'p',
    })
  })

  it('refuses what it does not know', async () => {
    const queries = [
      'x=1',
      'kind=output',
      'kind',
      'attempt=0',
      'attempt=1.5',
      'attempt=2147483648',
      'isSuccessState=1',
      'snapshotId=1',
      'kind=INPUT&kind=OUTPUT',
      'redactionPolicy=%ff',
      'metadata={}',
      '__proto__=1',
      '&',
    ]
    for (const query of queries) {
      const refusal = refusalOf(await put(server.url, '{}', { query }))
      assert.deepEqual(refusal, { status: 400, code: 'BAD_REQUEST' }, query)
    }
    for (const path of ['/runs/%ff/steps/s/snapshot', '/runs/%/steps/s/snapshot', '/runs/%00/steps/s/snapshot']) {
      const refusal = await send(server.url, {
        method: 'PUT',
        target: path,
        headers: { 'content-type': 'application/json' },
        body: '{}',
      })
      assert.deepEqual(refusalOf(refusal), { status: 400, code: 'BAD_REQUEST' }, path)
    }
  })

  it('takes JSON alone, and keeps which kind', async () => {
    const kinds = {
      'application/json': 'application/json',
      'application/json;': 'application/json',
      'application/json; charset=utf-8; version=1': 'application/json',
      'Application/Problem+JSON;charset="UTF-8"': 'application/problem+json',
      'application/geo+json': 'application/geo+json',
    }
    for (const [type, kept] of Object.entries(kinds)) {
      const { snapshotId } = storedOf(await put(server.url, '{}', { headers: { 'content-type': type } }))
      const { headers } = await send(server.url, { target: `/snapshots/${snapshotId}/payload` })
      const { data } = await server.graphql(`{ snapshotById(snapshotId: "${snapshotId}") { contentType } }`)
      assert.deepEqual([headers['content-type'], data], [kept, { snapshotById: { contentType: kept } }], type)
    }
    for (const type of [
      'text/plain',
      '',
      'application/json; charset=latin1',
      'application/jsonl',
      'text/json',
      'application/+json',
    ]) {
      const refusal = refusalOf(await put(server.url, '{}', { headers: { 'content-type': type } }))
      assert.deepEqual(refusal, { status: 415, code: 'UNSUPPORTED_MEDIA_TYPE' }, type)
    }
  })

  it('takes the older names of a coding, and an empty one for none', async () => {
    for (const [coding, body] of [
      ['x-gzip', gzipSync('{}')],
      ['GZip, identity', gzipSync('{}')],
      ['', '{}'],
      ['identity', '{}'],
    ] as const) {
      assert.equal(storedOf(await put(server.url, body, { headers: { 'content-encoding': coding } })).sizeBytes, 2)
    }
    for (const coding of ['br', 'gzip, gzip', 'x-zstd']) {
      const answer = await put(server.url, '{}', { headers: { 'content-encoding': coding } })
      assert.deepEqual([answer.status, answer.headers['accept-encoding']], [415, 'gzip, zstd'], coding)
    }
  })

  it('says that a mark of the byte order is in the way', async () => {
    for (const mark of ['efbbbf', 'fffe', 'feff']) {
      const answer = await put(server.url, Buffer.concat([Buffer.from(mark, 'hex'), Buffer.from('{}')]))
      assert.deepEqual(refusalOf(answer), { status: 422, code: 'INVALID_PAYLOAD' })
      assert.match(answer.body.toString(), /at byte 0: .*byte order mark/)
    }
  })

  it('takes no condition that there be a version, as nothing is replaced', async () => {
    for (const match of ['*', '"x"']) {
      const refusal = refusalOf(await put(server.url, '{}', { headers: { 'if-match': match } }))
      assert.deepEqual(refusal, { status: 412, code: 'CONFLICT' })
    }
    storedOf(await put(server.url, '{}', { headers: { 'if-none-match': '*' } }))
  })

  it('asks for the body only once it is wanted', async () => {
    const early = startPut(server.url, { headers: { expect: '100-continue', 'content-type': 'text/plain' } })
    early.once('continue', () => assert.fail('asked for the body'))
    early.flushHeaders()
    const [refused] = await once(early, 'response')
    assert.equal(refused.statusCode, 415)
    early.destroy()
    const wanted = startPut(server.url, { headers: { expect: '100-continue' } })
    wanted.flushHeaders()
    await once(wanted, 'continue')
    wanted.end('{}')
    const [accepted] = await once(wanted, 'response')
    assert.equal(accepted.statusCode, 201)
    accepted.resume()
  })

  it('is refused so that a client that is still sending can read why', async () => {
    const body = Buffer.concat([Buffer.from('[01'), Buffer.alloc(12_000_000, ' ')])
    const url = `${server.url}/runs/r/steps/s/snapshot`
    for (let round = 0; round < 5; round++) {
      const viaFetch = await fetch(url, { method: 'PUT', headers: { 'content-type': 'application/json' }, body })
      assert.deepEqual([viaFetch.status, viaFetch.headers.get('connection')], [422, 'close'])
      assert.equal(((await viaFetch.json()) as { code: string }).code, 'INVALID_PAYLOAD')
      assert.equal((await put(server.url, body)).status, 422)
    }
  })
})

describe('a sender that is waited for', { concurrency: true }, () => {
  const PATH = /^\/runs\/([^/]+)\/steps\/([^/]+)\/snapshot$/
  /** Takes each chunk, and takes its time. */
  function writerOf(restMillis: number) {
    return {
      async capture(_input: object, payload: Buffer | { readonly chunks: AsyncIterable<Uint8Array> }) {
        if (!Buffer.isBuffer(payload)) for await (const _chunk of payload.chunks) await delay(restMillis)
        throw new AppError('INVALID_PAYLOAD', 'The body ended')
      },
    }
  }

  async function serve(senders: Partial<Pace>, restMillis = 0) {
    const pace = { minBytesPerSecond: 65_536, silentMillis: 300, behindMillis: 300, aheadMillis: 300, ...senders }
    const writer = writerOf(restMillis)
    const methods = createCaptureRoute({ writer, senders: pace })
    return await serveRoutes([{ path: PATH, methods }])
  }

  /** Sends the pieces, one each so many milliseconds, for as long as nobody answers. */
  async function drip(
    url: string,
    { piece, everyMillis, pieces }: { piece: Buffer; everyMillis: number; pieces: number },
  ) {
    const sending = startPut(url, {})
    sending.on('error', () => {})
    const answered = once(sending, 'response')
    const beganAt = performance.now()
    let left = pieces
    const next = () => (left-- > 0 ? sending.write(piece) : sending.end())
    next()
    const timer = setInterval(next, everyMillis)
    const [response] = await answered.finally(() => clearInterval(timer))
    sending.destroy()
    return { status: response.statusCode, seconds: (performance.now() - beganAt) / 1000 }
  }

  it('is given up when it sends nothing more', async () => {
    await using server = await serve({})
    const { status, seconds } = await drip(server.url, { piece: Buffer.from('[1'), everyMillis: 60_000, pieces: 2 })
    assert.equal(status, 400)
    assert.ok(seconds > 0.25 && seconds < 5, `${seconds} s`)
  })

  it('N1: is given up when it sends byte by byte, however steadily', async () => {
    await using server = await serve({})
    const { status, seconds } = await drip(server.url, { piece: Buffer.from(' '), everyMillis: 20, pieces: 10_000 })
    assert.equal(status, 400)
    assert.ok(seconds > 0.25 && seconds < 5, `${seconds} s`)
  })

  it('D4: is given up for slowness after it was fast for a while', async () => {
    await using server = await serve({})
    const sending = startPut(server.url, {})
    sending.on('error', () => {})
    sending.write(Buffer.alloc(4_000_000, ' '))
    const timer = setInterval(() => sending.write(' '), 20)
    const [response] = await once(sending, 'response').finally(() => clearInterval(timer))
    sending.destroy()
    assert.equal(response.statusCode, 400)
  })

  it('may be as slow as it must not be faster, for as long as it takes', async () => {
    await using server = await serve({ minBytesPerSecond: 5000 })
    // Four times the rate, and longer than the patience.
    const { status } = await drip(server.url, { piece: Buffer.alloc(1000, ' '), everyMillis: 50, pieces: 24 })
    assert.equal(status, 422)
  })

  it('is not blamed for a store that takes its time', async () => {
    await using server = await serve({}, 600)
    assert.equal(
      (
        await put(
          server.url,
          (function* () {
            yield Buffer.from('[1')
            yield Buffer.from(']')
          })(),
        )
      ).status,
      422,
    )
  })
})
