import assert from 'node:assert/strict'
import { tmpdir } from 'node:os'
import { it } from 'node:test'
import { fileURLToPath } from 'node:url'
import pg from 'pg'
import { freshDatabase } from '../support/database.ts'
import { describeWith, isUnavailable } from '../support/describe-with.ts'
import { startFaultProxy } from '../support/fault-proxy.ts'
import { send } from '../support/http.ts'
import { type RunningProcess, startProcess } from '../support/process.ts'
import { s3, valkey } from '../support/services.ts'
import { temporaryFolder } from '../support/tmp.ts'

const PAYLOAD_CANARY = 'canary-payload-5c1f'
const LINK_SECRET = 'canary-link-secret-of-more-than-32-bytes'
const TOKEN = 'canary-bearer-token'
const RUN_ID = 'canary-run'
const JSON_TYPE = { 'content-type': 'application/json', authorization: `Bearer ${TOKEN}`, cookie: `session=${TOKEN}` }

/** The URL with another host and port in it. */
function through(url: string, { host, port }: { readonly host: string; readonly port: number }): string {
  const result = new URL(url)
  result.hostname = host
  result.port = String(port)
  return result.href
}

function proxyOf(url: string) {
  const { hostname, port } = new URL(url)
  return startFaultProxy({ host: hostname, port: Number(port) })
}

await describeWith('the log of a whole session', s3, (storage) => {
  it('holds no secret, no signature, no payload and no path of this machine', { timeout: 60_000 }, async () => {
    await using database = await freshDatabase()
    await using folder = await temporaryFolder()
    await using databaseProxy = await proxyOf(database.url)
    await using storageProxy = await proxyOf(storage.endpoint)
    const cache = await valkey()
    const cacheUrl = isUnavailable(cache) ? undefined : cache.url
    await using cacheProxy = await proxyOf(cacheUrl ?? 'redis://127.0.0.1:1')
    const env = {
      PORT: '0',
      LOG_LEVEL: 'trace',
      DATABASE_URL: through(database.url, databaseProxy),
      SNAPSHOT_STORAGE_BACKEND: 's3',
      SNAPSHOT_STORAGE_PATH: folder.path,
      S3_BUCKET: storage.bucket,
      S3_REGION: storage.region,
      S3_ENDPOINT_URL: through(storage.endpoint, storageProxy),
      S3_ACCESS_KEY: storage.accessKey,
      S3_SECRET_KEY: storage.secretKey,
      S3_FORCE_PATH_STYLE: 'true',
      SNAPSHOT_INLINE_MAX_BYTES: '200',
      SIGNED_URL_SECRET: LINK_SECRET,
      ...(cacheUrl === undefined ? {} : { VALKEY_URL: through(cacheUrl, cacheProxy) }),
    }
    await using child = startProcess({ args: ['serve'], env, nodeArgs: ['--trace-warnings'] })
    const url = await child.waitForUrl()

    await useServer(url, database.url, folder.path)
    await cacheProxy.refuse()
    cacheProxy.resetNow()
    await useServer(url, database.url, folder.path)
    await storageProxy.refuse()
    storageProxy.resetNow()
    await useServer(url, database.url, folder.path)
    await databaseProxy.refuse()
    databaseProxy.resetNow()
    await useServer(url, database.url, folder.path)
    assert.deepEqual(await child.stop(), { code: 0, signal: null })

    assertClean(child, {
      'password of the database': new URL(database.url).password,
      'password of the cache': cacheUrl === undefined ? '' : new URL(cacheUrl).password,
      'secret key': storage.secretKey,
      'access key': storage.accessKey,
      'link secret': LINK_SECRET,
      token: TOKEN,
      payload: PAYLOAD_CANARY,
      'run id': RUN_ID,
      'signature of ours': 'sig=',
      'signature of S3': 'X-Amz-',
      'folder of the storage': folder.path,
      'temporary folder': tmpdir(),
      checkout: fileURLToPath(new URL('../..', import.meta.url)),
    })
  })
})

/** All that a client does, well or badly; answers are not looked at: whatever they are, the log must stay clean. */
async function useServer(url: string, databaseUrl: string, folder: string): Promise<void> {
  const graphql = async (query: string, variables: object = {}) => {
    const body = JSON.stringify({ query, variables })
    const answer = await send(url, { method: 'POST', target: '/graphql', headers: JSON_TYPE, body })
    assert.ok(!answer.body.includes(LINK_SECRET) && !answer.body.includes(folder))
    return JSON.parse(answer.body.toString()).data
  }
  const capture = `mutation ($input: CaptureSnapshotInput!) { captureSnapshot(input: $input) { snapshot { snapshotId } } }`
  for (const text of [PAYLOAD_CANARY, PAYLOAD_CANARY.repeat(50)]) {
    await graphql(capture, {
      input: { runId: RUN_ID, stepId: 's', payload: { text }, idempotencyKey: text.slice(0, 100) },
    })
  }
  await graphql(capture, { input: { runId: RUN_ID, stepId: '\0', payload: PAYLOAD_CANARY } })
  await graphql(capture, { input: { runId: 'x', snapshotId: PAYLOAD_CANARY, payload: null } })
  await graphql(`{ broken(text: "${PAYLOAD_CANARY}") `)
  const read = await graphql('{ snapshot(runId: "canary-run", stepId: "s") { snapshotId payload signedUrl } }')
  const { snapshotId = 'x', signedUrl } = read?.snapshot ?? {}
  await send(url, { target: `/snapshots/${snapshotId}/payload`, headers: JSON_TYPE })
  await send(url, { target: `/snapshots/${snapshotId}/payload?exp=1&sig=${TOKEN}` })
  if (signedUrl) await fetch(signedUrl).catch(() => {})
  await insertForeignRows(databaseUrl, folder)
  for (const stepId of ['gone', 'outside', 'elsewhere', 'nowhere', 'invalid']) {
    await graphql(`{ snapshot(runId: "foreign", stepId: "${stepId}") { payload signedUrl } }`)
  }
  await send(url, { target: '/health/ready' })
  await send(url, { method: 'POST', target: '/graphql', headers: JSON_TYPE, body: `{"query": ${PAYLOAD_CANARY}` })
}

/** Rows of another writer, each of which fails in its own way. */
async function insertForeignRows(databaseUrl: string, folder: string): Promise<void> {
  const client = new pg.Client({ connectionString: databaseUrl })
  await client.connect()
  const uris = {
    gone: 'file:///gone.json',
    outside: `file://${folder}/../${PAYLOAD_CANARY}.json`,
    elsewhere: `s3://${PAYLOAD_CANARY}/a.json`,
    nowhere: `gs://${PAYLOAD_CANARY}/a.json`,
    invalid: `s3://${PAYLOAD_CANARY}@evil.example/`,
  }
  for (const [stepId, uri] of Object.entries(uris)) {
    await client.query(
      `insert into state_snapshots (id, run_id, step_id, storage_uri) values (gen_random_uuid(), 'foreign', $1, $2)`,
      [stepId, uri],
    )
  }
  await client.end()
}

function assertClean(child: RunningProcess, canaries: Readonly<Record<string, string>>): void {
  const printed = child.stdout() + child.stderr()
  for (const [name, canary] of Object.entries(canaries)) {
    if (canary !== '') assert.ok(!printed.includes(canary), `${name}: ${lineWith(printed, canary)}`)
  }
  // What fails is told, as JSON, a line each; and nothing else is.
  assert.equal(child.stderr(), '')
  const lines = child.stdout().trim().split('\n')
  const messages = new Set(lines.map((line) => JSON.parse(line).msg))
  assert.ok(messages.has('listening') && messages.has('request failed'), [...messages].join())
}

function lineWith(text: string, part: string): string {
  return text.split('\n').find((line) => line.includes(part)) ?? ''
}
