import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { PassThrough } from 'node:stream'
import { text } from 'node:stream/consumers'
import { after, before, describe, it } from 'node:test'
import { type DiffCommand, runDiff } from '../../src/commands/diff.ts'
import { readConfig } from '../../src/config.ts'
import { applyPatch, modelOf } from '../json/diff/reference.ts'
import { startProcess } from '../support/process.ts'
import { put, storedOf } from '../support/put.ts'
import { startServer, type TestServer } from '../support/server.ts'

const FROM = '{"same":1.0,"list":["\\u001b[2J", 2, 3],"gone":true,"long":"x"}'
const TO = `{"same":1,"list":[3,"new",2],"long":"${'y'.repeat(200)}"}`

describe('statelens diff', () => {
  let server: TestServer
  let env: Record<string, string>
  let from: string
  let to: string
  before(async () => {
    server = await startServer()
    env = { DATABASE_URL: server.databaseUrl, SNAPSHOT_STORAGE_PATH: server.storagePath, LOG_LEVEL: 'error' }
    const runId = randomUUID()
    from = storedOf(await put(server.url, Buffer.from(FROM), { runId })).snapshotId
    to = storedOf(await put(server.url, Buffer.from(TO), { runId })).snapshotId
  })
  after(() => server[Symbol.asyncDispose]())

  async function diff(snapshotIds: readonly string[], options: Partial<DiffCommand> = {}) {
    const output = new PassThrough()
    const printing = text(output)
    const config = { ...readConfig(env), databaseUrl: server.databaseUrl }
    const { signal } = new AbortController()
    const wish = { config, snapshotIds, pointer: '', asPatch: false, isColoured: false, output, signal, ...options }
    const code = await runDiff(wish).finally(() => output.end())
    return { code, printed: await printing }
  }

  it('tells what became of each member, and every change, and nothing that a terminal would obey', async () => {
    const { code, printed } = await diff([from, to])
    assert.equal(code, 1)
    assert.deepEqual(printed.split('\n'), [
      '= "same"  3 B → 1 B',
      '~ "list"  19 B → 11 B',
      '- "gone"  4 B',
      '~ "long"  3 B → 202 B',
      '',
      '- /list/0  "\\u001b[2J"',
      '+ /list/1  "new"',
      '> /list/2 (was /list/1)  2',
      '- /gone  true',
      `~ /long  "x" → "${'y'.repeat(70)}…`,
      '5 changes',
      '',
    ])
    assert.deepEqual((await diff([to])).printed, printed)
    const coloured = await diff([from, to], { isColoured: true })
    assert.ok(coloured.printed.includes('\u001b[32m+ /list/1'))
    assert.deepEqual(await diff([from, to], { pointer: '/same' }), { code: 0, printed: 'The same.\n' })
  })

  it('writes a patch that makes the new state of the old one', async () => {
    const { code, printed } = await diff([from, to], { asPatch: true })
    assert.equal(code, 1)
    assert.deepStrictEqual(applyPatch(modelOf(FROM), printed), modelOf(TO))
    assert.deepEqual(await diff([to, to], { asPatch: true }), { code: 0, printed: '[]\n' })
  })

  it('ends with 2 where it cannot compare', async () => {
    const cases = [
      [[randomUUID()], /no snapshot/],
      [['--nonsense'], /diff --help/],
    ] as const
    const ends = cases.map(async ([args, said]) => {
      await using child = startProcess({ args: ['diff', ...args], env })
      assert.equal((await child.exited).code, 2)
      assert.match(child.stderr(), said)
      assert.equal(child.stdout(), '')
    })
    await Promise.all(ends)
    await assert.rejects(diff([]), /diff --help/)
  })
})
