import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { startServer, type TestServer } from '../support/server.ts'

const MAX_BYTES = 65_536
const TELL_RUN = 'mutation ($i: UpsertRunInput!) { upsertRun(input: $i) { status error { message type stack } } }'
const TELL_STEP = 'mutation ($i: UpsertStepInput!) { upsertStep(input: $i) { status error { message type stack } } }'

interface Told {
  readonly status: string
  readonly error: { readonly message: string; readonly type: string | null; readonly stack: string | null }
}

describe('the news that a run or a step failed', () => {
  let server: TestServer
  before(async () => {
    server = await startServer()
  })
  after(() => server[Symbol.asyncDispose]())

  async function tell(error: object): Promise<Told['error']> {
    const input = { runId: 'r', status: 'FAILED', error }
    const run = await server.graphql<{ upsertRun: Told }>(TELL_RUN, { i: input })
    const step = await server.graphql<{ upsertStep: Told }>(TELL_STEP, { i: { ...input, stepId: 's' } })
    assert.deepEqual([run.errors, step.errors], [undefined, undefined])
    assert.deepEqual(run.data.upsertRun, step.data.upsertStep)
    assert.equal(run.data.upsertRun.status, 'FAILED')
    return run.data.upsertRun.error
  }

  it('is kept with the beginning and the end of a text that is too long, and says what is left out', async () => {
    for (const [unit, count] of [
      ['  File "graph.py", line 12, in step\n', 2500],
      ['é', 50_000],
      ['東', 30_000],
      ['a🙂', 40_000],
      ['x', MAX_BYTES + 1],
    ] as const) {
      const stack = `begin ${unit.repeat(count)} end`
      const kept = (await tell({ message: 'RecursionError', stack })).stack ?? ''
      const [, head = '', left, tail = ''] = /^(.*)\n… (\d+) bytes left out …\n(.*)$/s.exec(kept) ?? assert.fail(kept)
      assert.ok(Buffer.byteLength(kept) <= MAX_BYTES && Buffer.byteLength(kept) > MAX_BYTES - 20)
      assert.ok(stack.startsWith(head) && stack.endsWith(tail) && head.startsWith('begin') && tail.endsWith(' end'))
      assert.equal(Buffer.byteLength(head) + Number(left) + Buffer.byteLength(tail), Buffer.byteLength(stack))
      // Told again, it does not shrink further.
      assert.equal((await tell({ message: 'RecursionError', stack: kept })).stack, kept)
    }
  })

  it('is kept whole at the limit', async () => {
    const stack = 'x'.repeat(MAX_BYTES)
    assert.equal((await tell({ message: 'm', stack })).stack, stack)
  })

  it('is kept with a sign in place of what no text can hold', async () => {
    assert.deepEqual(
      await tell({ message: 'no PDF: \u0000\u0000IHDR', type: 'half \ud83e', stack: '\udd14 \ud83e\udd14 é' }),
      {
        message: 'no PDF: ��IHDR',
        type: 'half �',
        stack: '� 🤔 é',
      },
    )
    assert.deepEqual(await tell({ message: '' }), { message: '', type: null, stack: null })
  })
})
