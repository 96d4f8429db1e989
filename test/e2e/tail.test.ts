import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { startProcess } from '../support/process.ts'
import { put, storedOf } from '../support/put.ts'
import { startServer, type TestServer } from '../support/server.ts'

describe('statelens tail', () => {
  let server: TestServer
  before(async () => {
    server = await startServer()
  })
  after(() => server[Symbol.asyncDispose]())

  const tail = (...args: string[]) => startProcess({ args: ['tail', ...args], env: { STATELENS_URL: server.url } })
  const end = (runId: string, status: string) =>
    server.graphql(`mutation { upsertRun(input: { runId: "${runId}", status: ${status} }) { runId } }`)

  it('prints what happened and what happens, and ends with the run: 0 when it succeeded', async () => {
    await put(server.url, '{"a":1}', { runId: 'good', stepId: 'plan' })
    await using child = tail('good')
    await child.waitForLine(/^ +live /)
    await put(server.url, '[1,2]', { runId: 'good', stepId: 'a b\u001b[31m', query: 'kind=OUTPUT' })
    await child.waitForLine(/ snapshot {2}"a b\\u001b\[31m" {2}OUTPUT {2}#\d+ {2}5 B$/)
    await end('good', 'SUCCEEDED')
    assert.deepEqual(await child.exited, { code: 0, signal: null })
    assert.match(child.stdout(), /^\d{4}-.*Z {2}snapshot {2}plan {2}CHECKPOINT {2}#\d+ {2}7 B$/m)
    assert.match(child.stdout(), /\n +ended {5}SUCCEEDED\n$/)
    assert.equal(child.stderr(), '')
  })

  it('as JSON has the cursors to go on with, ends with 2 for a run that failed, and with 1 when it is stopped', async () => {
    const first = storedOf(await put(server.url, '1', { runId: 'bad' }))
    await using stopped = tail('bad', '--json')
    await stopped.waitForLine(/"CaughtUp"/)
    assert.deepEqual(await stopped.stop(), { code: 1, signal: null })
    assert.ok(stopped.stdout().includes(first.snapshotId))
    const [, cursor = ''] = /To go on from here: --after (\S+)\n/.exec(stopped.stderr()) ?? []
    const second = storedOf(await put(server.url, '2', { runId: 'bad' }))
    await end('bad', 'FAILED')
    await using child = tail('bad', '--json', '--after', cursor)
    assert.deepEqual(await child.exited, { code: 2, signal: null })
    const events = child
      .stdout()
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line))
    const told = events.flatMap(({ snapshot }) => snapshot?.snapshotId ?? [])
    assert.deepEqual(told, [second.snapshotId])
    assert.deepEqual([events.at(-1).type, events.at(-1).run.status], ['RunEnded', 'FAILED'])
  })

  it('says what is wrong with its arguments, and what the server refuses', async () => {
    for (const args of [[], ['a', 'b'], ['a', '--nothing']]) {
      await using child = tail(...args)
      assert.deepEqual(await child.exited, { code: 1, signal: null })
      assert.notEqual(child.stderr(), '')
    }
    await using refused = tail('good', '--after', 'nonsense')
    assert.deepEqual(await refused.exited, { code: 1, signal: null })
    assert.match(refused.stderr(), /cursor/)
  })
})
