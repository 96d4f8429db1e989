import assert from 'node:assert/strict'
import { createHash, randomUUID } from 'node:crypto'
import { it } from 'node:test'
import { migrate } from '../../src/db/migrate.ts'
import { codesByPath, dataOf, payloadBytes } from '../support/answers.ts'
import { freshDatabase } from '../support/database.ts'
import { describeWith } from '../support/describe-with.ts'
import { startFaultProxy } from '../support/fault-proxy.ts'
import { send } from '../support/http.ts'
import { type Objects, openObjects, s3Env } from '../support/objects.ts'
import { insertOldRow, OLD_TABLES, type OldRow } from '../support/old-system.ts'
import { eventually } from '../support/put.ts'
import { query } from '../support/rows.ts'
import { startServer, type TestServer } from '../support/server.ts'
import { type S3Service, s3 } from '../support/services.ts'
import { temporaryFolder } from '../support/tmp.ts'

const RUN = 'old run: 2024/01, 🦉 é'
/** What the old writer serialised: an order of keys and spaces that `jsonb` does not keep. */
const TEXT = '{"zeta":  1.0, "a": [true,null]}'
const OTHER = '{"another": "state"}'
const LARGE = `{"zeta":"${'x'.repeat(5_000_000)}","a":1}`
const NOT_JSON = '{"loss": NaN}'

/** Tier, storageState, digestOf, integrity. */
type Facts = readonly [string, string, string | null, string]

interface Kind {
  readonly row: Omit<OldRow, 'runId'>
  /** What lies behind the storage URI; nothing when left out. */
  readonly object?: string
  readonly before: Facts
  /** The text that is read; a code where there is none. */
  readonly reads: 'snapshot' | 'object' | { readonly code: string }
  /** Whether its bytes can be had although no answer can hold them. */
  readonly isDownload?: boolean
  readonly after: Facts
  /** What a verification says, or its code. */
  readonly verified: string
}

const IN_THE_ROW: Facts = ['INLINE', 'AVAILABLE', 'SOURCE', 'NOT_VERIFIABLE']
const NO_DIGEST: Facts = ['INLINE', 'AVAILABLE', null, 'NOT_VERIFIABLE']
const UNSETTLED: Facts = ['OBJECT', 'UNKNOWN', null, 'NOT_CHECKED']
const NOTHING: Facts = ['INLINE', 'MISSING', null, 'NOT_VERIFIABLE']
const UNREAD: Facts = ['OBJECT', 'UNKNOWN', null, 'NOT_VERIFIABLE']
const UNREAD_WITH_DIGEST: Facts = ['OBJECT', 'UNKNOWN', 'PAYLOAD', 'NOT_CHECKED']
const GOOD_OBJECT: Facts = ['OBJECT', 'AVAILABLE', 'PAYLOAD', 'NOT_CHECKED']

const copyIsRead = { before: UNSETTLED, reads: 'snapshot', after: IN_THE_ROW, verified: 'NOT_VERIFIABLE' } as const
const objectIsRead = { before: UNSETTLED, reads: 'object', after: GOOD_OBJECT, verified: 'VERIFIED' } as const
const unreadable = (code: string) => ({ before: UNREAD, reads: { code }, after: UNREAD, verified: code }) as const
const both = { digest: sha256(TEXT), snapshot: TEXT }

/** Every kind of row, by what is in it. `<key>` becomes a key of its own, `<bucket>` the server's. */
const KINDS: Readonly<Record<string, Kind>> = {
  'a state in the row': {
    row: { snapshot: TEXT },
    ...{ before: NO_DIGEST, reads: 'snapshot', after: NO_DIGEST, verified: 'NOT_VERIFIABLE' },
  },
  'a state in the row with a digest': {
    row: both,
    ...{ before: IN_THE_ROW, reads: 'snapshot', after: IN_THE_ROW, verified: 'NOT_VERIFIABLE' },
  },
  'five megabytes in the row': {
    row: { snapshot: LARGE },
    ...{ before: NO_DIGEST, reads: 'snapshot', after: NO_DIGEST, verified: 'NOT_VERIFIABLE' },
  },
  'null as a state': {
    row: { snapshot: 'null' },
    ...{ before: NO_DIGEST, reads: 'snapshot', after: NO_DIGEST, verified: 'NOT_VERIFIABLE' },
  },
  'neither a state nor a URI': {
    row: {},
    ...{ before: NOTHING, reads: { code: 'OBJECT_MISSING' }, after: NOTHING, verified: 'OBJECT_MISSING' },
  },
  'object-storage:// and a copy without a digest': {
    row: { storageUri: 'object-storage://<key>', snapshot: TEXT },
    object: OTHER,
    ...{ before: NO_DIGEST, reads: 'snapshot', after: NO_DIGEST, verified: 'NOT_VERIFIABLE' },
  },
  'object-storage:// that is not there, and a copy': {
    row: { storageUri: 'object-storage://<key>', ...both },
    ...copyIsRead,
  },
  'object-storage:// with the object of the digest': {
    row: { storageUri: 'object-storage://<key>', ...both },
    object: TEXT,
    ...objectIsRead,
  },
  'object-storage:// with a large object of the digest': {
    row: { storageUri: 'object-storage://<key>', digest: sha256(LARGE), snapshot: OTHER },
    object: LARGE,
    ...objectIsRead,
  },
  'object-storage:// with another object': {
    row: { storageUri: 'object-storage://<key>', ...both },
    object: OTHER,
    ...copyIsRead,
  },
  'object-storage:// with another large object': {
    row: { storageUri: 'object-storage://<key>', ...both },
    object: LARGE,
    ...copyIsRead,
  },
  'object-storage:// with an object of the digest that is not JSON': {
    row: { storageUri: 'object-storage://<key>', digest: sha256(NOT_JSON), snapshot: TEXT },
    object: NOT_JSON,
    ...copyIsRead,
  },
  's3:// with the object of the digest': {
    row: { storageUri: 's3://<bucket>/<key>', digest: sha256(TEXT) },
    object: TEXT,
    ...{ before: UNREAD_WITH_DIGEST, reads: 'object', after: GOOD_OBJECT, verified: 'VERIFIED' },
  },
  's3:// with an object and no digest': {
    row: { storageUri: 's3://<bucket>/<key>' },
    object: TEXT,
    ...{ before: UNREAD, reads: 'object', verified: 'NOT_VERIFIABLE' },
    after: ['OBJECT', 'AVAILABLE', null, 'NOT_VERIFIABLE'],
  },
  's3:// with an object that is not JSON': {
    row: { storageUri: 's3://<bucket>/<key>' },
    object: NOT_JSON,
    isDownload: true,
    ...{ before: UNREAD, reads: { code: 'INVALID_PAYLOAD' }, verified: 'NOT_VERIFIABLE' },
    after: ['OBJECT', 'AVAILABLE', null, 'NOT_VERIFIABLE'],
  },
  's3:// that is not there, and a copy': { row: { storageUri: 's3://<bucket>/<key>', ...both }, ...copyIsRead },
  's3:// that is not there': {
    row: { storageUri: 's3://<bucket>/<key>' },
    ...unreadable('OBJECT_MISSING'),
    after: ['OBJECT', 'MISSING', null, 'NOT_VERIFIABLE'],
  },
  's3:// with an object that is not what its digest says': {
    row: { storageUri: 's3://<bucket>/<key>', digest: sha256(TEXT) },
    object: OTHER,
    ...{ before: UNREAD_WITH_DIGEST, reads: { code: 'OBJECT_CORRUPT' }, verified: 'MISMATCH' },
    after: ['OBJECT', 'CORRUPT', 'PAYLOAD', 'MISMATCH'],
  },
  'a bucket that is not allowed, and a copy': { row: { storageUri: 's3://elsewhere/<key>', ...both }, ...copyIsRead },
  'a bucket that is not allowed': {
    row: { storageUri: 's3://elsewhere/<key>' },
    ...unreadable('STORAGE_URI_REJECTED'),
  },
  'a scheme that nobody knows, and a copy': { row: { storageUri: 'gs://bucket/<key>', ...both }, ...copyIsRead },
  'a scheme that nobody knows': {
    row: { storageUri: 'gs://bucket/<key>' },
    ...unreadable('UNSUPPORTED_STORAGE_SCHEME'),
  },
  'file:// with the object': {
    row: { storageUri: 'file:///<key>' },
    object: TEXT,
    ...{ before: UNREAD, reads: 'object', verified: 'NOT_VERIFIABLE' },
    after: ['OBJECT', 'AVAILABLE', null, 'NOT_VERIFIABLE'],
  },
}

await describeWith('rows of the old system', s3, (service) => {
  for (const column of ['json', 'jsonb'] as const) {
    it(`come back well, each kind of them, from a column of ${column}`, async (t) => {
      await using scene = await start(column, service)
      for (const [name, kind] of Object.entries(KINDS)) {
        await t.test(name, async () => {
          const id = await scene.insert(kind)
          assert.deepEqual(await factsOf(scene.server, id), kind.before)
          await checkReads(scene, id, kind)
          await eventually(async () => assert.deepEqual(await factsOf(scene.server, id), kind.after))
          await checkReads(scene, id, kind)
          assert.equal(await verify(scene.server, id), kind.verified)
        })
      }
      await t.test('in filters and counts, as in their own fields', () => checkLists(scene))
    })
  }

  it('are read from the row while the store is away, and from the object once it is back', async () => {
    const { hostname, port } = new URL(service.endpoint)
    await using proxy = await startFaultProxy({ host: hostname, port: Number(port) })
    await using scene = await start('jsonb', { ...service, endpoint: `http://${proxy.host}:${proxy.port}` })
    const id = await scene.insert({ row: { storageUri: 'object-storage://<key>', ...both }, object: TEXT })
    await proxy.refuse()
    assert.equal((await payloadBytes(scene.server, id)).toString(), await scene.inRow(TEXT))
    assert.equal((await get(scene.server, id)).body.toString(), await scene.inRow(TEXT))
    assert.deepEqual(await factsOf(scene.server, id), UNSETTLED)
    assert.equal(await verify(scene.server, id), 'STORAGE_UNAVAILABLE')
    await proxy.heal()
    assert.equal((await payloadBytes(scene.server, id)).toString(), TEXT)
  })

  it('fall back to the row when their object vanishes later', async () => {
    await using scene = await start('jsonb', service)
    const row = { storageUri: `object-storage://${randomUUID()}`, digest: sha256(LARGE), snapshot: TEXT }
    const id = await scene.insert({ row, object: LARGE })
    assert.equal((await payloadBytes(scene.server, id)).toString(), LARGE)
    await eventually(async () => assert.deepEqual(await factsOf(scene.server, id), GOOD_OBJECT))
    await scene.objects.remove(`s3://${service.bucket}/${row.storageUri.slice('object-storage://'.length)}`)
    assert.equal((await payloadBytes(scene.server, id)).toString(), await scene.inRow(TEXT))
    await eventually(async () => assert.deepEqual(await factsOf(scene.server, id), IN_THE_ROW))
    assert.equal((await get(scene.server, id)).headers['content-length'], String((await scene.inRow(TEXT)).length))
  })

  it('refuse what is larger than the caller takes, from either source', async () => {
    await using scene = await start('jsonb', service)
    for (const row of [
      { storageUri: 'object-storage://<key>', digest: sha256(LARGE), snapshot: TEXT },
      { storageUri: 'gs://bucket/<key>', digest: sha256(TEXT), snapshot: LARGE },
    ]) {
      const id = await scene.insert({ row, object: row.storageUri.startsWith('gs') ? undefined : LARGE })
      const answer = await scene.server.graphql(`{ snapshotById(snapshotId: "${id}") { payload(maxBytes: 1000) } }`)
      assert.deepEqual(codesByPath(answer), { 'snapshotById.payload': 'PAYLOAD_TOO_LARGE' })
    }
  })
})

interface Scene extends AsyncDisposable {
  readonly server: TestServer
  readonly objects: Objects
  insert(kind: Pick<Kind, 'row' | 'object'>): Promise<string>
  /** A text as the row's column gives it back. */
  inRow(text: string): Promise<string>
}

/** A server on a database of the old system, which keeps states as `jsonb`, or on one of its own. */
async function start(column: 'json' | 'jsonb', service: S3Service): Promise<Scene> {
  await using cleanup = new AsyncDisposableStack()
  const { url } = cleanup.use(await freshDatabase({ template: column === 'json' ? 'migrated' : 'empty' }))
  if (column === 'jsonb') {
    await query(url, OLD_TABLES.first)
    await migrate(url)
  }
  const { path: storagePath } = cleanup.use(await temporaryFolder())
  const server = cleanup.use(await startServer({ env: s3Env(service), store: { databaseUrl: url, storagePath } }))
  const objects = cleanup.use(openObjects({ storagePath, s3: service }))
  const owned = cleanup.move()
  return {
    server,
    objects,
    async insert({ row, object }) {
      const id = randomUUID()
      const storageUri = row.storageUri?.replace('<key>', `old/${id}.json`).replace('<bucket>', service.bucket)
      await insertOldRow(url, { ...row, id, runId: RUN, storageUri })
      if (object !== undefined && storageUri !== undefined) {
        await objects.put(storageUri.replace('object-storage://', `s3://${service.bucket}/`), object)
      }
      return id
    },
    async inRow(text) {
      const [row] = await query<{ text: string }>(url, `select ($1::${column})::text as text`, [text])
      return row?.text ?? ''
    },
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  }
}

function sha256(text: string): Buffer {
  return createHash('sha256').update(text).digest()
}

async function factsOf(server: TestServer, id: string): Promise<Facts> {
  const { snapshotById: found } = await dataOf(
    server.graphql<{ snapshotById: Record<string, string> }>(
      `{ snapshotById(snapshotId: "${id}") { storageTier storageState digestOf integrity } }`,
    ),
  )
  return [found['storageTier'], found['storageState'], found['digestOf'], found['integrity']] as unknown as Facts
}

async function verify(server: TestServer, id: string): Promise<string | undefined> {
  const { data, errors } = await server.graphql<{ snapshotById: { integrity: string } | null }>(
    `{ snapshotById(snapshotId: "${id}") { integrity(verify: true) } }`,
  )
  return errors ? Object.values(codesByPath({ errors })).join() : data.snapshotById?.integrity
}

function get({ url }: TestServer, id: string, headers: Record<string, string> = {}, method = 'GET') {
  return send(url, { method, target: `/snapshots/${id}/payload`, headers })
}

/** Through GraphQL, and by GET, HEAD and Range. */
async function checkReads(
  { server, inRow }: Scene,
  id: string,
  { row, object = '', reads, isDownload, after }: Kind,
): Promise<void> {
  if (typeof reads === 'object') {
    const answer = await server.graphql(`{ snapshotById(snapshotId: "${id}") { payload } }`)
    assert.deepEqual(codesByPath(answer), { 'snapshotById.payload': reads.code })
    const { body } = await get(server, id)
    assert.equal(isDownload ? body.toString() : JSON.parse(body.toString()).code, isDownload ? object : reads.code)
    return
  }
  const bytes = Buffer.from(reads === 'object' ? object : await inRow(row.snapshot ?? ''))
  assert.ok(bytes.equals(await payloadBytes(server, id)))
  const hex = row.digest?.toString('hex')
  const etag = after[2] === 'PAYLOAD' ? `"${hex}"` : undefined
  const whole = await get(server, id, hex === undefined || etag ? {} : { 'if-none-match': `"${hex}"` })
  assert.deepEqual([whole.status, whole.headers.etag, whole.body.equals(bytes)], [200, etag, true])
  assert.equal(whole.headers['content-length'], String(bytes.length))
  const head = await get(server, id, {}, 'HEAD')
  assert.deepEqual([head.status, head.headers.etag], [200, etag])
  assert.equal(head.headers['content-length'], String(bytes.length))
  const part = await get(server, id, { range: 'bytes=1-3' })
  assert.deepEqual([part.status, part.body], [206, bytes.subarray(1, 4)])
  assert.equal(part.headers['content-range'], `bytes 1-3/${bytes.length}`)
  if (etag) assert.equal((await get(server, id, { 'if-none-match': etag })).status, 304)
  assert.equal((await get(server, id, { range: `bytes=${bytes.length}-` })).status, 416)
}

/** Tiers as the fields tell them are what the filter finds and what the run counts. */
async function checkLists({ server }: Scene): Promise<void> {
  const list = (tier: string) => `${tier}: snapshots(first: 100, filter: { storageTier: ${tier} }) {
    edges { node { storageTier storageUri } } }`
  const { run } = await dataOf(
    server.graphql<{ run: Record<'INLINE' | 'OBJECT', { edges: { node: object }[] }> & { stats: object } }>(
      `query($runId: String!) { run(runId: $runId) { stats { snapshotCount objectCount } ${list('INLINE')} ${list('OBJECT')} } }`,
      { runId: RUN },
    ),
  )
  const expected = Object.values(KINDS).map(({ after: [tier] }) => tier)
  const objectCount = expected.filter((tier) => tier === 'OBJECT').length
  assert.deepEqual(run.stats, { snapshotCount: expected.length, objectCount })
  assert.equal(run.OBJECT.edges.length, objectCount)
  assert.equal(run.INLINE.edges.length, expected.length - objectCount)
  for (const { node } of run.INLINE.edges) assert.deepEqual(node, { storageTier: 'INLINE', storageUri: null })
}
