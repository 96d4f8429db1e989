import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, readFile, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import pg from 'pg'
import { startEmbeddedPostgres } from '../../../src/db/embedded/embedded.ts'
import { type TemporaryFolder, temporaryFolder } from '../../support/tmp.ts'

const settings = { fsync: 'off', synchronous_commit: 'off', full_page_writes: 'off' }

describe('embedded PostgreSQL', () => {
  let folder: TemporaryFolder
  let dataDir: string
  const start = () => startEmbeddedPostgres({ dataDir, settings })

  before(async () => {
    folder = await temporaryFolder()
    dataDir = join(folder.path, 'data')
  })
  after(() => folder[Symbol.asyncDispose]())

  it('makes a cluster in UTF-8, even after an interrupted first start, and keeps its data', async () => {
    await mkdir(join(dataDir, 'postgres.new', 'base'), { recursive: true })
    const first = await start()
    await query(first.url, 'CREATE TABLE kept AS SELECT 42 AS answer')
    await first.stop()
    await using second = disposable(await start())
    assert.deepEqual(await query(second.url, 'TABLE kept'), [{ answer: 42 }])
    assert.deepEqual(await query(second.url, 'SHOW server_encoding'), [{ server_encoding: 'UTF8' }])
    assert.deepEqual(await query(second.url, 'SHOW fsync'), [{ fsync: 'off' }])
  })

  it('listens on loopback alone, with a password that only its user can read', async () => {
    await using server = disposable(await start())
    assert.equal(new URL(server.url).hostname, '127.0.0.1')
    assert.deepEqual(await query(server.url, 'SHOW unix_socket_directories'), [{ unix_socket_directories: '' }])
    assert.equal((await stat(join(dataDir, 'postgres.password'))).mode & 0o777, 0o600)
    const stranger = new URL(server.url)
    stranger.password = 'guess'
    await assert.rejects(query(stranger.href, 'SELECT 1'), { code: '28P01' })
  })

  it('refuses a second start while the first one lives, and leaves that alone', async () => {
    await using server = disposable(await start())
    await assert.rejects(start(), (error: Error) => /data folder/.test(error.message) && !error.message.includes('/'))
    assert.deepEqual(await query(server.url, 'SELECT 1 AS one'), [{ one: 1 }])
  })

  it('lets one of several starts at once win', async () => {
    const results = await Promise.allSettled([start(), start(), start()])
    const won = results.filter((result) => result.status === 'fulfilled')
    assert.equal(won.length, 1)
    await Promise.all(won.map(({ value }) => value.stop()))
  })

  it('stops as often as it is asked', async () => {
    const server = await start()
    await Promise.all([server.stop(), server.stop()])
    await server.stop()
    await assert.rejects(query(server.url, 'SELECT 1'))
  })

  it('replaces a server whose parent was killed', async () => {
    const parent = spawnParent(dataDir)
    const orphanUrl = await firstLine(parent)
    await query(orphanUrl, 'CREATE TABLE from_orphan (id int)')
    parent.kill('SIGKILL')
    await once(parent, 'exit')
    const orphan = await startedAt(orphanUrl)
    await using server = disposable(await start())
    assert.deepEqual(await query(server.url, 'TABLE from_orphan'), [])
    // Nobody is there any more, or the new server by a chance of the port.
    assert.notDeepEqual(await startedAt(orphanUrl).catch(() => null), orphan)
  })

  it('survives the death of the server, and recovers every commit at the next start', async () => {
    // With no settings: the defaults are the safe ones.
    const server = await startEmbeddedPostgres({ dataDir })
    await query(server.url, 'CREATE TABLE committed (id int)')
    process.kill(await postmasterPid(dataDir), 'SIGKILL')
    await server.stop()
    await using next = disposable(await start())
    assert.deepEqual(await query(next.url, 'TABLE committed'), [])
  })

  it('is started again at the same URL when it dies, as often as it does, with every commit', async () => {
    const deaths: PromiseWithResolvers<void>[] = [Promise.withResolvers(), Promise.withResolvers()]
    let died = 0
    let back = 0
    const revival = { died: () => void died++, isBack: () => deaths[back++]?.resolve() }
    const server = await startEmbeddedPostgres({ dataDir, revival })
    await query(server.url, 'CREATE TABLE before_death (id int)')
    for (const [index, { promise }] of deaths.entries()) {
      await query(server.url, `INSERT INTO before_death VALUES (${index})`)
      process.kill(await postmasterPid(dataDir), 'SIGKILL')
      await promise
      assert.equal((await query(server.url, 'TABLE before_death')).length, index + 1)
    }
    await server.stop()
    assert.deepEqual([died, back], [2, 2])
    await assert.rejects(query(server.url, 'SELECT 1'))
  })

  it('that is told to stop while it is started again ends for good', async () => {
    const died = Promise.withResolvers<void>()
    const server = await startEmbeddedPostgres({ dataDir, revival: { died: died.resolve, isBack() {} } })
    process.kill(await postmasterPid(dataDir), 'SIGKILL')
    await died.promise
    await server.stop()
    await assert.rejects(query(server.url, 'SELECT 1'))
    await (await start()).stop()
  })

  it('starts over what a crash of the machine left: a lock with the pid of another program, an empty owner file', async () => {
    const bystander = spawn('sleep', ['60'], { stdio: 'ignore' })
    try {
      const lines = [bystander.pid, join(dataDir, 'postgres'), 1, 5432, '', '127.0.0.1', '', 'ready']
      await writeFile(join(dataDir, 'postgres', 'postmaster.pid'), lines.join('\n'))
      await writeFile(join(dataDir, 'postgres.owner'), '')
      await using server = disposable(await start())
      assert.deepEqual(await query(server.url, 'SELECT 1 AS one'), [{ one: 1 }])
      assert.equal(bystander.exitCode ?? bystander.signalCode, null)
    } finally {
      bystander.kill('SIGKILL')
    }
  })

  it('keeps serving when the terminal interrupts the process group', async () => {
    const parent = spawnParent(dataDir)
    const url = await firstLine(parent)
    assert.ok(parent.pid)
    process.kill(-parent.pid, 'SIGINT')
    assert.equal(await firstLine(parent), 'interrupted')
    assert.deepEqual(await query(url, 'SELECT 1 AS one'), [{ one: 1 }])
    parent.stdin?.end()
    await once(parent, 'exit')
    await assert.rejects(query(url, 'SELECT 1'))
  })

  it('says that it did not start, without a path', async () => {
    const broken = startEmbeddedPostgres({ dataDir, settings: { ...settings, shared_buffers: 'plenty' } })
    await assert.rejects(broken, (error: Error) => /postgres\.log/.test(error.message) && !error.message.includes('/'))
    await (await start()).stop()
  })
})

/** A process that holds the server, tells of SIGINT, and stops when its stdin ends. */
function spawnParent(dataDir: string): ChildProcess {
  const embedded = new URL('../../../src/db/embedded/embedded.ts', import.meta.url).href
  const code = `
    const { startEmbeddedPostgres } = await import(${JSON.stringify(embedded)})
    process.on('SIGINT', () => console.log('interrupted'))
    const server = await startEmbeddedPostgres(${JSON.stringify({ dataDir, settings })})
    console.log(server.url)
    process.stdin.on('end', () => server.stop()).resume()`
  const args = ['--input-type=module', '--eval', code]
  return spawn(process.execPath, args, { detached: true, stdio: ['pipe', 'pipe', 'inherit'] })
}

async function firstLine(child: ChildProcess): Promise<string> {
  assert.ok(child.stdout)
  const [line] = await once(child.stdout, 'data')
  return String(line).trim()
}

function startedAt(url: string): Promise<unknown[]> {
  return query(url, 'SELECT pg_postmaster_start_time()::text')
}

async function postmasterPid(dataDir: string): Promise<number> {
  return Number.parseInt(await readFile(join(dataDir, 'postgres', 'postmaster.pid'), 'utf8'), 10)
}

function disposable<Server extends { stop(): Promise<void> }>(server: Server): Server & AsyncDisposable {
  return Object.assign(server, { [Symbol.asyncDispose]: server.stop })
}

async function query(url: string, statement: string): Promise<unknown[]> {
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  try {
    return (await client.query(statement)).rows
  } finally {
    await client.end()
  }
}
