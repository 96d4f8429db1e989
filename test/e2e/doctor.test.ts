import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { writeFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { describe, it } from 'node:test'
import pg from 'pg'
import { type FreshDatabase, freshDatabase, withDatabase } from '../support/database.ts'
import { describeWith } from '../support/describe-with.ts'
import { startFaultProxy } from '../support/fault-proxy.ts'
import { filesBelow, openObjects, s3Env } from '../support/objects.ts'
import { startProcess } from '../support/process.ts'
import { put, storedOf } from '../support/put.ts'
import { insertForeign, query } from '../support/rows.ts'
import { startServer, type TestServer } from '../support/server.ts'
import { s3, valkey } from '../support/services.ts'
import { temporaryFolder } from '../support/tmp.ts'

type Env = Readonly<Record<string, string>>

const SECRET = 'canary-of-a-signing-secret-that-nobody-may-see'

interface Diagnosis {
  readonly code: number | null
  readonly output: string
  /** The lines under `wrong`. */
  readonly wrong: readonly string[]
  readonly warnings: readonly string[]
}

/** Runs the command, and sees to it that no value of a secret setting is in what it prints. */
async function diagnose(settings: Env): Promise<Diagnosis> {
  await using folder = await temporaryFolder()
  const env: Env = { SIGNED_URL_SECRET: SECRET, DATA_DIR: folder.path, ...settings }
  await using child = startProcess({ args: ['doctor'], env })
  const { code } = await child.exited
  const output = child.stdout()
  assert.equal(child.stderr(), '')
  for (const canary of canariesOf(env)) assert.ok(!output.includes(canary), `it says ${canary}:\n${output}`)
  const marked = (mark: string) =>
    output.split('\n').flatMap((line) => (line.startsWith(`  ${mark} `) ? [line.slice(mark.length + 2).trim()] : []))
  const wrong = marked('wrong')
  assert.equal(code, wrong.length === 0 ? 0 : 1, output)
  return { code, output, wrong, warnings: marked('warn') }
}

function canariesOf(env: Env): string[] {
  const passwords = [env['DATABASE_URL'], env['VALKEY_URL']].map((url) => (url ? URL.parse(url)?.password : ''))
  const values = [env['SIGNED_URL_SECRET'], env['S3_SECRET_KEY'], env['S3_ACCESS_KEY'], env['SNAPSHOT_STORAGE_PATH']]
  return [...passwords, ...values].flatMap((value) => (value ? [value] : []))
}

function diagnoseDatabase(url: string): Promise<Diagnosis> {
  return diagnose({ DATABASE_URL: url })
}

/** All that is wrong is said in one line, which says this. */
function assertOnly({ wrong, output }: Diagnosis, pattern: RegExp): void {
  assert.equal(wrong.length, 1, output)
  assert.match(wrong[0] ?? '', pattern)
}

const storeOf = (server: TestServer): Env => ({
  DATABASE_URL: server.databaseUrl,
  SNAPSHOT_STORAGE_PATH: server.storagePath,
})

describe('doctor', { concurrency: 2 }, () => {
  it('finds nothing wrong with a healthy store, reads a payload of each kind, and changes nothing', async () => {
    await using server = await startServer({ env: { SNAPSHOT_INLINE_MAX_BYTES: '100' } })
    using objects = openObjects(server)
    const own = [await put(server.url, '{"a":1}'), await put(server.url, `["${'x'.repeat(200)}"]`, { stepId: 'large' })]
    await objects.put('file:///foreign/a.json', '{"b":2}')
    const foreign = [
      await insertForeign(server.databaseUrl, { payload: '{"c": 3}' }),
      await insertForeign(server.databaseUrl, { storageUri: 'file:///foreign/a.json' }),
      await insertForeign(server.databaseUrl, { storageUri: 'file:///foreign/a.json', payload: '{"b": 2}' }),
    ]
    const state = async () => [
      await query(server.databaseUrl, 'select md5(s::text) from state_snapshots s order by seq'),
      await filesBelow(server.storagePath),
    ]
    const before = await state()
    const { code, output, warnings } = await diagnose(storeOf(server))
    assert.deepEqual([code, warnings], [0, []], output)
    assert.match(output, /\nNothing is wrong\.\n$/)
    for (const id of [...own.map((answer) => storedOf(answer).snapshotId), foreign[0], foreign[1]]) {
      assert.match(output, new RegExp(`ok .*${id}.* bytes read`))
    }
    assert.match(output, /5 snapshots\n.*\n.*of statelens +INLINE +1 +0 +0 +0\n/)
    assert.match(output, /2 runs, 2 steps/)
    assert.deepEqual(await state(), before)
  })

  it('lists every setting that is wrong', async () => {
    const { wrong } = await diagnose({ PORT: 'many', HOST: '0.0.0.0', SNAPSHOT_STORAGE_BACKEND: 's3' })
    assert.equal(wrong.length, 3)
    for (const [index, name] of ['HOST', 'S3_BUCKET', 'PORT'].entries())
      assert.match(wrong[index] ?? '', new RegExp(name))
  })

  it('says that an embedded database is not looked at', async () => {
    await using folder = await temporaryFolder()
    const { code, output } = await diagnose({ DATA_DIR: `${folder.path}/none` })
    assert.equal(code, 0)
    assert.match(output, /database\n {2}ok +DATABASE_URL is not set: an embedded one/)
    assert.deepEqual(await filesBelow(folder.path), [])
  })
})

describe('doctor on a database', { concurrency: 2 }, () => {
  it('names a wrong password', async () => {
    await using database = await freshDatabase()
    const url = new URL(database.url)
    url.password = 'canary-of-a-wrong-password'
    assertOnly(await diagnoseDatabase(url.href), /refuses the user or the password/)
  })

  it('names a database that does not exist', async () => {
    await using database = await freshDatabase()
    assertOnly(await diagnoseDatabase(withDatabase(database.url, 'canary_of_a_name')), /no database of that name/)
  })

  it('names an address where nothing listens, and a host that nobody knows', async () => {
    const url = (host: string) => `postgres://user:canary-of-a-password@${host}/states`
    assertOnly(await diagnoseDatabase(url('127.0.0.1:1')), /nothing listens/)
    assertOnly(await diagnoseDatabase(url('nowhere.invalid')), /not known here/)
  })

  it('names a migration that is not applied', async () => {
    await using database = await freshDatabase({ template: 'empty' })
    assertOnly(await diagnoseDatabase(database.url), /0001-first-tables.*statelens migrate/)
  })

  it('names the rights that the user lacks', async () => {
    await using database = await freshDatabase()
    await using empty = await freshDatabase({ template: 'empty' })
    await using reader = await createUser(database)
    assertOnly(
      await diagnoseDatabase(reader.urlOf(database)),
      /lacks rights: grant SELECT on statelens_migrations; SELECT, INSERT, UPDATE, DELETE on state_snapshots, statelens_\w+, /,
    )
    // As it is from PostgreSQL 15 on.
    await query(empty.url, 'revoke create on schema public from public')
    const { wrong } = await diagnoseDatabase(reader.urlOf(empty))
    assert.match(wrong[0] ?? '', /may not make tables/)
  })

  it('names a database that is not UTF8, and one that takes no writes', async () => {
    await using database = await freshDatabase()
    const name = `latin_${Date.now()}`
    await query(database.url, `create database ${name} template template0 encoding 'LATIN1' locale 'C'`)
    try {
      const { wrong } = await diagnoseDatabase(withDatabase(database.url, name))
      assert.match(wrong[0] ?? '', /encoded in LATIN1.*UTF8/)
    } finally {
      await query(database.url, `drop database ${name} with (force)`)
    }
    const { pathname } = new URL(database.url)
    await query(database.url, `alter database ${pathname.slice(1)} set default_transaction_read_only = on`)
    assertOnly(await diagnoseDatabase(database.url), /takes no writes/)
  })

  it('says so when rows cannot be counted in time, and when tables are locked', async () => {
    await using cleanup = new AsyncDisposableStack()
    const database = cleanup.use(await freshDatabase())
    const client = new pg.Client({ connectionString: database.url })
    await client.connect()
    cleanup.defer(() => client.end())
    await client.query('begin; lock table statelens_steps')
    const { code, output } = await diagnoseDatabase(database.url)
    assert.equal(code, 0, output)
    assert.match(output, /ok +0 snapshots\n {2}ok +runs and steps could not be counted/)
    await client.query('lock table state_snapshots')
    assertOnly(await diagnoseDatabase(database.url), /^DATABASE_URL: its tables are locked/)
  })

  it('ends in time when nothing answers', async () => {
    await using database = await freshDatabase()
    const { hostname, port } = new URL(database.url)
    await using proxy = await startFaultProxy({ host: hostname, port: Number(port) })
    proxy.blackhole()
    const url = (text: string) => {
      const result = new URL(text)
      result.host = `127.0.0.1:${proxy.port}`
      return result.href
    }
    const began = performance.now()
    const { wrong } = await diagnose({
      DATABASE_URL: url(database.url),
      VALKEY_URL: url('redis://127.0.0.1:1'),
      S3_BUCKET: 'states',
      S3_ENDPOINT_URL: `http://127.0.0.1:${proxy.port}`,
      S3_ACCESS_KEY: 'canary-of-a-key',
      S3_SECRET_KEY: 'canary-of-a-secret',
    })
    for (const name of ['DATABASE_URL', 'VALKEY_URL', 'S3_ENDPOINT_URL']) {
      assert.match(wrong.find((line) => line.startsWith(name)) ?? '', /no answer came in time/, name)
    }
    assert.ok(performance.now() - began < 20_000)
  })
})

interface User extends AsyncDisposable {
  urlOf(database: FreshDatabase): string
}

/** One that may log in, and nothing else. */
async function createUser({ url }: FreshDatabase): Promise<User> {
  const name = `reader_${createHash('md5').update(url).digest('hex')}`
  await query(url, `create user ${name} password 'canary-of-a-password'`)
  return {
    urlOf(database) {
      const result = new URL(database.url)
      result.username = name
      result.password = 'canary-of-a-password'
      return result.href
    },
    async [Symbol.asyncDispose]() {
      await query(url, `drop user ${name}`)
    },
  }
}

describe('doctor on payloads', { concurrency: 2 }, () => {
  it('names an object that is gone, and one whose bucket is not allowed', async () => {
    await using server = await startServer({ env: { SNAPSHOT_INLINE_MAX_BYTES: '0' } })
    const { snapshotId } = storedOf(await put(server.url, '{"a":1}'))
    const [row] = await query<{ storage_uri: string }>(server.databaseUrl, 'select storage_uri from state_snapshots')
    using objects = openObjects(server)
    await objects.remove(row?.storage_uri ?? '')
    const foreign = await insertForeign(server.databaseUrl, { storageUri: 's3://canary-bucket/a.json' })
    const store = { S3_BUCKET: 'states', S3_ENDPOINT_URL: 'http://127.0.0.1:1' }
    const { wrong, output } = await diagnose({ ...storeOf(server), ...store })
    const about = (id: string) => wrong.find((line) => line.includes(id)) ?? ''
    assert.match(about(snapshotId), /OBJECT_MISSING.*bring the object back/)
    assert.match(about(foreign), /STORAGE_URI_REJECTED.*STORAGE_ALLOWED_BUCKETS/)
    assert.ok(!output.includes('canary-bucket'))
  })

  it('counts what other reads have found missing, and what nobody deletes', async () => {
    await using server = await startServer()
    await insertForeign(server.databaseUrl, { storageUri: 'file:///gone.json' })
    await query(server.databaseUrl, `update state_snapshots set storage_state = 'MISSING'`)
    await query(
      server.databaseUrl,
      `insert into statelens_objects (storage_uri, snapshot_id, state, created_at, attempts, not_before)
       values ('file:///a', gen_random_uuid(), 'doomed', now() - interval '1 day', 9, now() + interval '1 hour'),
        ('file:///b', gen_random_uuid(), 'pending', now() - interval '1 day', 0, now() - interval '1 day'),
        ('file:///of-a-ticket-that-lives', gen_random_uuid(), 'pending', now() - interval '1 day', 0, now() + interval '1 hour')`,
    )
    const { warnings, output } = await diagnose(storeOf(server))
    const expected = /^1 snapshot MISSING: .*\n1 object of unfinished captures.*\n1 object to be deleted/
    assert.match(warnings.join('\n'), expected, output)
  })
})

describe('doctor on the folder of objects', { concurrency: 2 }, () => {
  it('names a root that is a file, and one that cannot be written', async () => {
    await using folder = await temporaryFolder()
    const path = `${folder.path}/canary`
    await writeFile(path, '')
    assertOnly(await diagnose({ SNAPSHOT_STORAGE_PATH: path }), /^SNAPSHOT_STORAGE_PATH: it is not a folder/)
    assertOnly(
      await diagnose({ SNAPSHOT_STORAGE_PATH: `${path}/below` }),
      /^SNAPSHOT_STORAGE_PATH: a file is in the way/,
    )
    if (process.platform !== 'linux') return
    // Nobody may write there, root included.
    assertOnly(
      await diagnose({ SNAPSHOT_STORAGE_PATH: '/proc/self/fdinfo' }),
      /^SNAPSHOT_STORAGE_PATH: the folder cannot be used/,
    )
  })

  it('knows the folder that the states of the database lie in', async () => {
    await using server = await startServer({ env: { SNAPSHOT_INLINE_MAX_BYTES: '0' } })
    assert.equal((await put(server.url, '[1]')).status, 201)
    await using folder = await temporaryFolder()
    const { wrong } = await diagnose({ ...storeOf(server), SNAPSHOT_STORAGE_PATH: folder.path })
    assert.match(wrong.join('\n'), /SNAPSHOT_STORAGE_PATH: the folder has not the mark that this database knows/)
    assert.deepEqual(await filesBelow(folder.path), [])
  })

  it('leaves a root that is not there as it is', async () => {
    await using folder = await temporaryFolder()
    const { code, warnings } = await diagnose({ SNAPSHOT_STORAGE_PATH: `${folder.path}/none` })
    assert.equal(code, 0)
    assert.match(warnings[0] ?? '', /^SNAPSHOT_STORAGE_PATH: the folder is not there yet/)
    assert.deepEqual(await filesBelow(folder.path), [])
  })
})

describe('doctor on links', { concurrency: 2 }, () => {
  it('names a signing host that a browser cannot resolve', async () => {
    const served = { HOST: '0.0.0.0', AUTH_MODE: 'none', PUBLIC_URL: 'https://127.0.0.1' }
    const store = { S3_BUCKET: 'states', S3_ENDPOINT_URL: 'http://minio:1' }
    const { wrong, warnings } = await diagnose({ ...served, ...store })
    const about = wrong.find((line) => line.includes('signed links')) ?? ''
    assert.match(about, /^S3_ENDPOINT_URL: .*minio, .*cannot resolve; set S3_PUBLIC_ENDPOINT_URL/)
    assert.ok(warnings.some((line) => /S3_ENDPOINT_URL is http and PUBLIC_URL https/.test(line)))
  })

  it('names an address that is nobody’s, and the lack of a secret', async () => {
    const diagnosis = await diagnose({ HOST: '0.0.0.0', AUTH_MODE: 'none', SIGNED_URL_SECRET: '' })
    assertOnly(diagnosis, /^HOST: .*0\.0\.0\.0.*set PUBLIC_URL/)
    assert.match(diagnosis.warnings.join('\n'), /^SIGNED_URL_SECRET is not set/m)
  })
})

describe('doctor on a cache that is down', () => {
  it('names it', async () => {
    const url = 'redis://:canary-of-a-password@127.0.0.1:1'
    assertOnly(await diagnose({ VALKEY_URL: url }), /^VALKEY_URL: nothing listens/)
  })
})

await describeWith('doctor on Valkey', valkey, ({ url }) => {
  it('finds it right, and names a wrong password and none', async () => {
    const ask = (valkeyUrl: string) => diagnose({ VALKEY_URL: valkeyUrl })
    assert.match((await ask(url)).output, /cache\n {2}ok +Valkey answers/)
    const other = new URL(url)
    other.password = 'canary-of-a-wrong-password'
    assertOnly(await ask(other.href), /^VALKEY_URL: the server refuses the password/)
    other.password = ''
    assertOnly(await ask(other.href), /^VALKEY_URL: the server wants a password/)
  })
})

await describeWith('doctor on S3', s3, (service) => {
  const healthy = s3Env(service)
  const other = (changes: Env) => diagnose({ ...healthy, ...changes })

  it('finds a store right, with an object in it', async () => {
    await using server = await startServer({ env: { ...healthy, SNAPSHOT_INLINE_MAX_BYTES: '0' } })
    const { snapshotId } = storedOf(await put(server.url, '{"a":1}'))
    const { code, output } = await other(storeOf(server))
    assert.equal(code, 0, output)
    assert.match(output, /ok +s3:\/\/ \(new objects go here\): the bucket answers/)
    assert.match(output, new RegExp(`ok .*${snapshotId}.*digest is right`))
  })

  it('names a missing bucket, a wrong key and a wrong secret', async () => {
    assertOnly(await other({ S3_BUCKET: 'canary-of-a-missing-bucket' }), /^S3_BUCKET: there is no such bucket/)
    assertOnly(await other({ S3_ACCESS_KEY: 'canary-of-a-wrong-key' }), /^S3_ACCESS_KEY: the store does not know/)
    assertOnly(await other({ S3_SECRET_KEY: 'canary-of-a-wrong-secret' }), /^S3_SECRET_KEY: it does not belong/)
  })

  it('names an endpoint where nothing listens, where something else does, and whose clock is wrong', async () => {
    assertOnly(await other({ S3_ENDPOINT_URL: 'http://127.0.0.1:1' }), /^S3_ENDPOINT_URL: nothing listens/)
    const server = createServer((_request, response) => {
      response.writeHead(404, { date: new Date(Date.now() - 3_600_000).toUTCString() }).end()
    })
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    const { port } = server.address() as AddressInfo
    const { wrong } = await other({ S3_ENDPOINT_URL: `http://127.0.0.1:${port}` })
    server.close()
    assert.match(wrong[0] ?? '', /^S3_ENDPOINT_URL: it answers with HTTP 404, unlike an S3 store/)
    assert.match(wrong[1] ?? '', /clock is 36\d\d seconds ahead/)
    assertOnly(
      await other({ S3_ENDPOINT_URL: service.endpoint.replace('http:', 'https:') }),
      /^S3_ENDPOINT_URL: TLS fails/,
    )
  })
})
