import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises'
import { text } from 'node:stream/consumers'
import { describe, it } from 'node:test'
import pg from 'pg'
import { type FreshDatabase, freshDatabase } from '../support/database.ts'
import { insertOldRow, OLD_TABLES } from '../support/old-system.ts'
import { startProcess } from '../support/process.ts'
import { query } from '../support/rows.ts'
import { temporaryFolder } from '../support/tmp.ts'

interface Run {
  readonly code: number | null
  readonly stdout: string
  readonly stderr: string
}

async function run(args: readonly string[], env: Readonly<Record<string, string>> = {}): Promise<Run> {
  await using child = startProcess({ args, env })
  const { code } = await child.exited
  return { code, stdout: child.stdout(), stderr: child.stderr() }
}

/** Every column, constraint and index, and which migrations ran when. */
async function describeDatabase(url: string): Promise<unknown> {
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  try {
    const { rows } = await client.query(`
      select 'column' as kind, concat_ws(' ', table_name, column_name, data_type, is_nullable, column_default) as what
        from information_schema.columns where table_schema = 'public'
      union all select 'index', indexdef from pg_indexes where schemaname = 'public'
      union all select 'constraint', conrelid::regclass || ' ' || pg_get_constraintdef(oid)
        from pg_constraint where connamespace = 'public'::regnamespace
      union all select 'migration', name || ' ' || timestamp from statelens_migrations
      order by 1, 2`)
    return rows
  } finally {
    await client.end()
  }
}

function passwordOf({ url }: FreshDatabase): string {
  return new URL(url).password
}

describe('the command line', { concurrency: true }, () => {
  it('says what it can do', async () => {
    for (const args of [[], ['--help'], ['-h'], ['help']]) {
      const { code, stdout, stderr } = await run(args)
      assert.deepEqual([code, stderr], [0, ''])
      for (const command of ['serve', 'migrate', 'verify', 'doctor', 'demo'])
        assert.match(stdout, new RegExp(`^ +${command} `, 'm'))
    }
  })

  it('says which version it is, and what a command does', async () => {
    const { version } = JSON.parse(await readFile('package.json', 'utf8'))
    for (const args of [['--version'], ['-v'], ['version']]) {
      assert.deepEqual(await run(args), { code: 0, stdout: `${version}\n`, stderr: '' })
    }
    assert.deepEqual(await run(['help', 'verify']), await run(['verify', '--help']))
  })

  it('reads settings from .env where it is started, and those of the environment before them', async () => {
    await using folder = await temporaryFolder()
    await writeFile(`${folder.path}/.env`, '# a comment\nPORT="canary"\nLOG_LEVEL=canary\n')
    await using child = startProcess({ args: ['serve'], env: { LOG_LEVEL: 'info' }, cwd: folder.path })
    assert.deepEqual(await child.exited, { code: 1, signal: null })
    assert.match(child.stderr(), /1 problem\(s\):\n {2}- PORT must/)
    await rm(`${folder.path}/.env`)
    await mkdir(`${folder.path}/.env`)
    await using unreadable = startProcess({ args: ['--help'], cwd: folder.path })
    assert.deepEqual(await unreadable.exited, { code: 1, signal: null })
    assert.match(unreadable.stderr(), /^\.env cannot be read: /)
  })

  it('says what each command does, and does nothing else', async () => {
    for (const command of ['serve', 'migrate', 'verify', 'doctor', 'demo']) {
      const { code, stdout, stderr } = await run([command, '--help'], { DATABASE_URL: 'not even a URL' })
      assert.deepEqual([code, stderr], [0, ''])
      assert.match(stdout, new RegExp(`^statelens ${command}\\n\\n\\w`))
    }
  })

  it('goes on when nobody reads its output any more', async () => {
    await using database = await freshDatabase({ template: 'empty' })
    await query(database.url, OLD_TABLES.first)
    const child = spawn(process.execPath, ['src/main.ts', 'migrate'], {
      env: { PATH: process.env['PATH'], DATABASE_URL: database.url },
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    child.stdout.destroy()
    const [[code], errors] = await Promise.all([once(child, 'exit'), text(child.stderr)])
    assert.deepEqual([code, errors], [0, ''])
  })

  it('refuses what it does not know, on standard error', async () => {
    for (const args of [['sevre'], ['serve', 'now'], ['constructor'], ['__proto__', '--help'], ['serve', '--port=1']]) {
      const { code, stdout, stderr } = await run(args)
      assert.deepEqual([code, stdout], [1, ''], args.join(' '))
      assert.match(stderr, /^(No such command|Unknown option|Unexpected argument)/, args.join(' '))
    }
  })
})

describe('migrate', { concurrency: true }, () => {
  it('is what serve asks for when a database lacks its tables', async () => {
    await using database = await freshDatabase({ template: 'empty' })
    const env = { DATABASE_URL: database.url, PORT: '0' }
    const { code, stdout, stderr } = await run(['serve'], env)
    assert.equal(code, 1)
    assert.match(stderr, /statelens migrate/)
    assert.ok(!`${stdout}${stderr}`.includes(passwordOf(database)))
  })

  it('brings the tables, and changes nothing the second time', async () => {
    await using database = await freshDatabase({ template: 'empty' })
    const env = { DATABASE_URL: database.url, PORT: '0' }
    const first = await run(['migrate'], env)
    assert.deepEqual([first.code, first.stderr], [0, ''])
    assert.match(first.stdout, /^Applied 0001-/)
    const afterFirst = await describeDatabase(database.url)
    const second = await run(['migrate'], env)
    assert.deepEqual([second.code, second.stderr], [0, ''])
    assert.match(second.stdout, /^Nothing to do/)
    assert.deepEqual(await describeDatabase(database.url), afterFirst)
    await using server = startProcess({ args: ['serve'], env })
    assert.equal((await fetch(`${await server.waitForUrl()}/health/ready`)).status, 200)
    assert.deepEqual(await server.stop(), { code: 0, signal: null })
  })

  it('adopts a database of the old system: a plan first, then what it did, and serve waits for it', async () => {
    await using database = await freshDatabase({ template: 'empty' })
    await query(database.url, OLD_TABLES.first)
    await insertOldRow(database.url, { runId: 'an old run', snapshot: '{"n":1}' })
    const env = { DATABASE_URL: database.url, PORT: '0' }
    const plan = await run(['migrate', '--dry-run'], env)
    assert.deepEqual([plan.code, plan.stderr], [0, ''])
    assert.match(plan.stdout, /^Found the old system's table[\s\S]*To do:\n {2}1\. 0001-[\s\S]*Nothing was changed/)
    const refused = await run(['serve'], env)
    assert.equal(refused.code, 1)
    assert.match(refused.stderr, /statelens migrate/)
    const done = await run(['migrate'], env)
    assert.deepEqual([done.code, done.stderr], [0, ''])
    assert.match(done.stdout, /complete the rows that are there {2}1 of 1 \(100 %\)[\s\S]*Done in/)
    assert.match((await run(['migrate', '--dry-run'], env)).stdout, /^Nothing to do/)
    await using server = startProcess({ args: ['serve'], env: env })
    await server.waitForUrl()
  })

  it('says what is in its way', async () => {
    await using database = await freshDatabase({ template: 'empty' })
    await query(database.url, 'create table state_snapshots (run_id int, snapshot jsonb, storage_uri text)')
    const plan = await run(['migrate', '--dry-run'], { DATABASE_URL: database.url })
    assert.match(plan.stdout, /In the way: The column run_id[\s\S]*nothing can be done before/)
    assert.doesNotMatch(plan.stdout, /To do|may go on|leave out/)
    const { code, stderr } = await run(['migrate'], { DATABASE_URL: database.url })
    assert.equal(code, 1)
    assert.match(stderr, /cannot be migrated as it is[\s\S]*run_id is integer/)
  })

  it('is safe to run three times at once', async () => {
    await using database = await freshDatabase({ template: 'empty' })
    await using alone = await freshDatabase({ template: 'migrated' })
    const runs = await Promise.all(Array.from({ length: 3 }, () => run(['migrate'], { DATABASE_URL: database.url })))
    assert.deepEqual(
      runs.map(({ code, stderr }) => [code, stderr]),
      [
        [0, ''],
        [0, ''],
        [0, ''],
      ],
    )
    assert.equal(runs.filter(({ stdout }) => stdout.startsWith('Applied')).length, 1)
    const withoutTimes = (rows: unknown) => JSON.stringify(rows).replaceAll(/\d{4}-\d\d-\d\dT[\d:.]+Z/g, '')
    assert.equal(withoutTimes(await describeDatabase(database.url)), withoutTimes(await describeDatabase(alone.url)))
  })

  it('says that it waits for another one, where nothing is to do as well, and stops when it is told to', async () => {
    await using database = await freshDatabase()
    const client = new pg.Client({ connectionString: database.url, application_name: 'another one' })
    await client.connect()
    await client.query("select pg_advisory_lock(hashtextextended('statelens migrate', 1))")
    await using child = startProcess({ args: ['migrate'], env: { DATABASE_URL: database.url } })
    await child.waitForLine(/^wait for another migration to end pid \d+ \(another one, user \w+, since /)
    assert.equal((await child.stop('SIGTERM')).code, 1)
    assert.match(child.stderr(), /Stopped/)
    await client.end()
  })

  it('says that it needs a database', async () => {
    const { code, stderr } = await run(['migrate'])
    assert.equal(code, 1)
    assert.match(stderr, /DATABASE_URL/)
  })

  it('says what is wrong with its database, and serve and verify as well, without a word of the password', async () => {
    await using database = await freshDatabase()
    const change = (make: (url: URL) => void) => {
      const url = new URL(database.url)
      make(url)
      return url.href
    }
    const cases = [
      [change((url) => (url.password = 'canary-of-a-password')), /refuses the user or the password/],
      [change((url) => (url.username = 'canary-of-a-user')), /refuses the user or the password/],
      [change((url) => (url.password = '')), /asks for a password.*PGPASSWORD/],
      [change((url) => (url.pathname = '/canary_of_a_name')), /no database of that name/],
      [change((url) => (url.port = '1')), /nothing listens/],
      [change((url) => (url.hostname = 'canary.invalid')), /its host is not known here/],
      ['postgres://app@/states?host=/canary', /nothing listens/],
      [change((url) => url.searchParams.set('sslmode', 'require')), /the server has no TLS/],
    ] as const
    for (const [url, pattern] of cases) {
      const { code, stdout, stderr } = await run(['migrate'], { DATABASE_URL: url })
      assert.equal(code, 1)
      assert.match(stderr, pattern)
      assert.match(stderr, /^DATABASE_URL: [^\n]+\n$/)
      assert.doesNotMatch(stdout + stderr, /canary/)
    }
    const [[wrongPassword, pattern]] = cases
    const verified = await run(['verify'], { DATABASE_URL: wrongPassword })
    assert.match(verified.stderr, pattern)
    await using server = startProcess({ args: ['serve'], env: { DATABASE_URL: wrongPassword, PORT: '0' } })
    const [line] = await server.waitForLine(/.*waiting for it.*/)
    assert.match(JSON.parse(line).why, pattern)
    await server.waitForUrl()
    await server.stop()
    assert.doesNotMatch(server.stdout() + server.stderr(), /canary/)
  })

  it('takes the password from PGPASSWORD', async () => {
    await using database = await freshDatabase()
    const url = new URL(database.url)
    const env = { PGPASSWORD: decodeURIComponent(url.password) }
    url.password = ''
    const { code, stdout, stderr } = await run(['migrate'], { ...env, DATABASE_URL: url.href })
    assert.deepEqual([code, stderr], [0, ''])
    assert.match(stdout, /^Nothing to do/)
  })
})
