import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { describe, it } from 'node:test'
import { type ScriptedS3, type Step, startScriptedS3 } from '../storage/s3/scripted-s3.ts'
import { codesByPath, payloadBytes } from '../support/answers.ts'
import { eventually } from '../support/put.ts'
import { insertForeign, query } from '../support/rows.ts'
import { startServer, type TestServer } from '../support/server.ts'

const LARGE = 20_000_000
const VALID = Buffer.from(`{"text":"${'x'.repeat(LARGE)}"}`)
/** Breaks out of the string that it begins, if anybody lets it. */
const INVALID = Buffer.from(`"${'x'.repeat(LARGE)}","errors":[{}]`)
const CHECK = 'GET * *'
const READ = (bytes: Buffer) => `GET ${etagOf(bytes)} *`
const LOOK = 'HEAD * *'

describe('an object that this server did not write', () => {
  it('is read twice the first time, and once from then on', async () => {
    await using scene = await start(VALID)
    const { server, snapshotId, asked } = scene
    assert.ok(VALID.equals(await payloadBytes(server, snapshotId)))
    assert.deepEqual(asked(), [CHECK, READ(VALID)])
    await verdictIs(server, snapshotId, { verdict: 'VALID', etag: etagOf(VALID) })
    assert.ok(VALID.equals(await payloadBytes(server, snapshotId)))
    assert.deepEqual(asked(), [READ(VALID)])
    // The verdict is in the row: a new process has no other.
    await using restarted = await startServer({ env: scene.env, store: server })
    assert.ok(VALID.equals(await payloadBytes(restarted, snapshotId)))
    assert.deepEqual(asked(), [READ(VALID)])
  })

  it('is INVALID_PAYLOAD beside an answer that stands when it is not JSON, and is not read again to see that', async () => {
    await using scene = await start(INVALID)
    const { server, snapshotId, asked } = scene
    await refused(scene)
    assert.deepEqual(asked(), [CHECK])
    await verdictIs(server, snapshotId, { verdict: 'INVALID', etag: etagOf(INVALID) })
    await refused(scene)
    assert.deepEqual(asked(), [LOOK])
  })

  it('is checked anew once it was replaced', async () => {
    await using scene = await start(INVALID)
    const { server, snapshotId, asked } = scene
    await refused(scene)
    await verdictIs(server, snapshotId, { verdict: 'INVALID', etag: etagOf(INVALID) })
    scene.replace(VALID)
    asked()
    assert.ok(VALID.equals(await payloadBytes(server, snapshotId)))
    assert.deepEqual(asked(), [LOOK, CHECK, READ(VALID)])
    await verdictIs(server, snapshotId, { verdict: 'VALID', etag: etagOf(VALID) })
    scene.replace(INVALID)
    await refused(scene)
    assert.deepEqual(asked(), [READ(VALID), CHECK])
  })

  it('is never handed on when it is replaced between the check and the read', async () => {
    await using scene = await start(VALID)
    scene.afterNext(() => scene.replace(INVALID))
    await refused(scene, 'STORAGE_UNAVAILABLE')
    assert.deepEqual(scene.asked(), [CHECK, READ(VALID)])
  })

  it('is checked once for all who ask at the same time', async () => {
    await using scene = await start(VALID)
    const { server, snapshotId, asked } = scene
    const payloads = await Promise.all(Array.from({ length: 5 }, () => payloadBytes(server, snapshotId)))
    assert.ok(payloads.every((bytes) => VALID.equals(bytes)))
    assert.deepEqual(asked().toSorted(), [CHECK, ...payloads.map(() => READ(VALID))].toSorted())
  })

  it('is read once, and into memory, when it is small', async () => {
    const small = Buffer.from(' {"a" : 1}\n')
    await using scene = await start(small)
    const { server, snapshotId, asked } = scene
    assert.deepEqual(await payloadBytes(server, snapshotId), small)
    scene.replace(Buffer.from('1,"errors":[{}]'))
    await refused(scene)
    scene.replace(Buffer.alloc(0))
    await refused(scene)
    assert.deepEqual(asked(), [CHECK, CHECK, CHECK])
  })
})

interface Scene extends AsyncDisposable {
  readonly server: TestServer
  readonly env: Readonly<Record<string, string>>
  /** A row as other writers leave it: with a URI, and neither size nor digest. */
  readonly snapshotId: string
  replace(bytes: Buffer): void
  /** Runs once, when the next answer was sent. */
  afterNext(action: () => void): void
  /** Requests since the last call, each with its condition and its range. */
  asked(): readonly string[]
}

async function start(content: Buffer): Promise<Scene> {
  await using cleanup = new AsyncDisposableStack()
  let bytes = content
  let action = (): void => undefined
  const serve: Step = (response, request) => {
    answer(bytes)(response, request)
    response.once('finish', () => {
      action()
      action = () => undefined
    })
  }
  const store: ScriptedS3 = await startScriptedS3(serve)
  cleanup.defer(() => store.close())
  const keys = { S3_ACCESS_KEY: 'a', S3_SECRET_KEY: 's' }
  const env = { SNAPSHOT_STORAGE_BACKEND: 's3', S3_BUCKET: 'bucket', S3_ENDPOINT_URL: store.endpoint, ...keys }
  const server = cleanup.use(await startServer({ env }))
  const snapshotId = await insertForeign(server.databaseUrl, { storageUri: 's3://bucket/key' })
  let seen = 0
  const owned = cleanup.move()
  return {
    server,
    env,
    snapshotId,
    replace: (next) => {
      bytes = next
    },
    afterNext: (next) => {
      action = next
    },
    asked() {
      const news = store.requests.slice(seen)
      seen = store.requests.length
      return news.map(({ line, headers }) =>
        [line.split(' ')[0], headers['if-match'] ?? '*', headers.range ?? '*'].join(' '),
      )
    },
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  }
}

/** One GET of an object, as S3 answers it. */
function answer(bytes: Buffer): Step {
  return (response, { headers }) => {
    const etag = etagOf(bytes)
    if (headers['if-match'] !== undefined && headers['if-match'] !== etag) {
      response.writeHead(412, { 'content-length': 0 }).end()
      return
    }
    const [, start, last] = /^bytes=(\d+)-(\d+)$/.exec(headers.range ?? '') ?? []
    const part = start === undefined ? bytes : bytes.subarray(Number(start), Number(last) + 1)
    const extent = start === undefined ? {} : { 'content-range': `bytes ${start}-${last}/${bytes.length}` }
    response.writeHead(start === undefined ? 200 : 206, { etag, 'content-length': part.length, ...extent }).end(part)
  }
}

function etagOf(bytes: Buffer): string {
  return `"${createHash('md5').update(bytes).digest('hex')}"`
}

/** The payload is refused, and all else is there. */
async function refused({ server, snapshotId }: Scene, code = 'INVALID_PAYLOAD'): Promise<void> {
  const { status, data, errors } = await server.graphql(
    `{ a: snapshotById(snapshotId: "${snapshotId}") { runId payload } b: snapshotById(snapshotId: "${snapshotId}") { runId } }`,
  )
  assert.deepEqual([status, codesByPath({ errors })], [200, { 'a.payload': code }])
  assert.deepEqual(data, { a: { runId: 'foreign run', payload: null }, b: { runId: 'foreign run' } })
}

/** The verdict is noted beside the answer, which does not wait for it. */
async function verdictIs(server: TestServer, snapshotId: string, expected: object): Promise<void> {
  await eventually(async () => {
    const [row] = await query(
      server.databaseUrl,
      'select json_verdict as verdict, json_verdict_etag as etag from state_snapshots where id = $1',
      [snapshotId],
    )
    assert.deepEqual(row, expected)
  })
}
