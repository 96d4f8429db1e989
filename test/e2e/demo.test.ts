import assert from 'node:assert/strict'
import { execFile, spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { readdir, readFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { promisify } from 'node:util'
import { type RunningProcess, startProcess } from '../support/process.ts'
import { eventually } from '../support/put.ts'
import { temporaryFolder } from '../support/tmp.ts'
import { livingProcessesOf } from './processes.ts'

interface Demo extends AsyncDisposable {
  readonly child: RunningProcess
  /** Where the demo finds its temporary folder, and nobody else does. */
  readonly folder: string
}

async function startDemo(env: Readonly<Record<string, string>> = {}): Promise<Demo> {
  await using cleanup = new AsyncDisposableStack()
  const { path } = cleanup.use(await temporaryFolder())
  const child = cleanup.use(startProcess({ args: ['demo'], env: { TMPDIR: path, ...env } }))
  const owned = cleanup.move()
  return { child, folder: path, [Symbol.asyncDispose]: () => owned.disposeAsync() }
}

async function assertGone({ child, folder }: Demo): Promise<void> {
  assert.deepEqual(await child.exited, { code: 0, signal: null }, child.stderr())
  assert.equal(child.stderr(), '')
  assert.match(child.stdout(), /The demo and its data are gone\.\n$/)
  assert.deepEqual(await readdir(folder), [])
  assert.deepEqual(await livingProcessesOf(folder), [])
}

/** What stands in the text from one phrase to another, both included. */
function between(text: string, start: string, end: string): string {
  const from = text.indexOf(start)
  const to = text.indexOf(end, from)
  assert.ok(from !== -1 && to !== -1, text)
  return text.slice(from, to + end.length)
}

describe('the demo', { concurrency: true }, () => {
  it('serves what it prints, gives a huge state byte for byte, and leaves nothing behind', async () => {
    await using folder = await temporaryFolder()
    await using demo = await startDemo({ PORT: '0' })
    const { child } = demo
    await child.waitForLine(/^Starting an embedded PostgreSQL/)
    await child.waitForLine(/^\[ ?1\/\d+\] .+: \d/)
    await child.waitForLine(/^Ctrl-C ends it/)

    const command = between(child.stdout(), 'curl ', '-o state.json')
    await promisify(execFile)('bash', ['-c', command], { cwd: folder.path })
    const answer = await readFile(join(folder.path, 'state.json'))
    const start = answer.indexOf('"payload":') + '"payload":'.length
    const { data } = JSON.parse(`${answer.subarray(0, start)}null}}}`)
    const bytes = answer.subarray(start, -'}}}'.length)
    assert.ok(bytes.length >= 20_000_000, `${bytes.length} bytes`)
    assert.deepEqual(data.snapshot, {
      sizeBytes: bytes.length,
      digest: `sha256:${createHash('sha256').update(bytes).digest('hex')}`,
      storageTier: 'OBJECT',
      payload: null,
    })
    // What parsing and printing again would have changed.
    assert.ok(bytes.includes('"temperature":0.20,"seed":9007199254740993'))

    const query = between(child.stdout(), '{ run(runId:', '} } } } } }')
    const [url = ''] = /http:\S+\/graphql/.exec(child.stdout()) ?? []
    const response = await fetch(url, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ query }),
    })
    const { data: pasted, errors } = (await response.json()) as { data: PastedAnswer; errors?: unknown }
    assert.equal(errors, undefined)
    assert.equal(pasted.run.steps.edges.length, 12)
    const links = pasted.run.steps.edges.flatMap(({ node }) => node.snapshot.signedUrl ?? [])
    assert.ok(links.length > 0)
    for (const link of links) assert.equal((await fetch(link, { method: 'HEAD' })).status, 200)

    await child.stop()
    await assertGone(demo)
  })

  it('takes a free port when the usual one is taken', async () => {
    const other = createServer()
    // Another process that has the port does as well.
    await new Promise<void>((resolve) => {
      other.once('error', () => resolve()).listen(4000, '127.0.0.1', resolve)
    })
    await using demo = await startDemo()
    const url = await demo.child.waitForUrl()
    assert.notEqual(new URL(url).port, '4000')
    assert.equal((await fetch(`${url}/health/ready`)).status, 200)
    await demo.child.waitForLine(/^It listens on port \d+: another program has 4000\./)
    await demo.child.stop('SIGINT')
    await assertGone(demo)
    await new Promise((resolve) => other.close(resolve))
  })

  it('takes no other port than the one that was asked for, and leaves nothing behind', async () => {
    const other = createServer()
    await new Promise<void>((resolve) => other.listen(0, '127.0.0.1', resolve))
    const address = other.address()
    const port = typeof address === 'object' && address !== null ? String(address.port) : ''
    await using demo = await startDemo({ PORT: port })
    assert.deepEqual(await demo.child.exited, { code: 1, signal: null })
    assert.match(demo.child.stderr(), /^PORT is taken/)
    assert.deepEqual([await readdir(demo.folder), await livingProcessesOf(demo.folder)], [[], []])
    await new Promise((resolve) => other.close(resolve))
  })

  it('leaves nothing behind when it is stopped before its database is there', async () => {
    await using demo = await startDemo({ PORT: '0' })
    await demo.child.waitForLine(/^Starting an embedded PostgreSQL/)
    await demo.child.stop()
    await assertGone(demo)
    assert.doesNotMatch(demo.child.stdout(), /is ready/)
  })

  it('leaves nothing behind when Ctrl-C in a terminal reaches all that it started, at any moment', async () => {
    await using folder = await temporaryFolder()
    for (const millis of [0, 200, 600]) {
      // A process group of its own, as a terminal has one for what it runs.
      const child = spawn(process.execPath, ['src/main.ts', 'demo'], {
        env: { PATH: process.env['PATH'], TMPDIR: folder.path, PORT: '0' },
        detached: true,
        stdio: ['ignore', 'pipe', 'inherit'],
      })
      const ended = once(child, 'exit')
      await once(child.stdout, 'data')
      await delay(millis)
      process.kill(-Number(child.pid), 'SIGINT')
      assert.deepEqual(await ended, [0, null])
      assert.deepEqual([await readdir(folder.path), await livingProcessesOf(folder.path)], [[], []])
    }
  })

  it('leaves nothing behind when its terminal is closed', async () => {
    await using demo = await startDemo({ PORT: '0' })
    await demo.child.waitForLine(/^\[ ?2\/\d+\]/)
    await demo.child.stop('SIGHUP')
    await assertGone(demo)
  })

  it('leaves nothing behind when somebody is in a hurry', async () => {
    await using demo = await startDemo({ PORT: '0' })
    await demo.child.waitForLine(/^\[ ?2\/\d+\]/)
    process.kill(demo.child.pid, 'SIGINT')
    await demo.child.stop('SIGINT')
    await eventually(async () => {
      assert.deepEqual([await readdir(demo.folder), await livingProcessesOf(demo.folder)], [[], []])
    })
  })

  it('removes what one that was killed has left', async () => {
    await using folder = await temporaryFolder()
    const env = { TMPDIR: folder.path, PORT: '0' }
    await using killed = startProcess({ args: ['demo'], env })
    await killed.waitForLine(/^\[ ?1\/\d+\]/)
    await killed.stop('SIGKILL')
    const left = await readdir(folder.path)
    assert.equal(left.length, 1)
    await using next = startProcess({ args: ['demo'], env })
    await next.waitForLine(/^\[ ?1\/\d+\]/)
    const now = await readdir(folder.path)
    assert.equal(now.length, 1)
    assert.notDeepEqual(now, left)
    await next.stop()
    assert.deepEqual([await readdir(folder.path), await livingProcessesOf(folder.path)], [[], []])
  })

  it('leaves nothing behind when it is stopped while it fills', async () => {
    await using demo = await startDemo({ PORT: '0' })
    await demo.child.waitForLine(/^\[ ?2\/\d+\]/)
    await demo.child.stop()
    await assertGone(demo)
    assert.doesNotMatch(demo.child.stdout(), /is ready/)
  })
})

interface PastedAnswer {
  readonly run: {
    readonly steps: {
      readonly edges: readonly { readonly node: { readonly snapshot: { readonly signedUrl: string | null } } }[]
    }
  }
}
