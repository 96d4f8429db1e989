import assert from 'node:assert/strict'
import { it } from 'node:test'
import { createCalls, type Functions, type Wire } from '../../../src/commands/workers/calls.ts'
import { partOf } from '../../../src/commands/workers/share.ts'
import { AppError } from '../../../src/errors.ts'

/** Two ends that hand each other JSON. */
function createWires(): [Wire, Wire] {
  const listeners: ((message: unknown) => void)[] = []
  const wire = (here: number, there: number): Wire => ({
    async send(message) {
      const text = JSON.stringify(message)
      setImmediate(() => listeners[there]?.(JSON.parse(text)))
    },
    onMessage(listener) {
      listeners[here] = listener
    },
  })
  return [wire(0, 1), wire(1, 0)]
}

it('calls are answered in any order, fail with their code, and end with the other side', async () => {
  const [here, there] = createWires()
  const slow = Promise.withResolvers<string>()
  const told: string[] = []
  const theirs = {
    slow: () => slow.promise,
    double: (number: number) => 2 * number,
    refuse: (): void => {
      throw new AppError('OVERLOADED', 'Enough')
    },
    note: (text: string) => void told.push(text),
  } satisfies Functions
  createCalls(there, theirs)
  const calls = createCalls<typeof theirs>(here, {})
  const last = calls.ask('slow')
  assert.equal(await calls.ask('double', 21), 42)
  await assert.rejects(calls.ask('refuse'), { code: 'OVERLOADED', message: 'Enough' })
  await calls.tell('note', 'a word')
  slow.resolve('done')
  assert.equal(await last, 'done')
  assert.deepEqual(told, ['a word'])
  const unanswered = calls.ask('slow')
  calls.close()
  await assert.rejects(unanswered, { code: 'OVERLOADED' })
  await assert.rejects(calls.ask('double', 1), { code: 'OVERLOADED' })
})

it('parts of workers are the whole', () => {
  for (const [whole, workers] of [
    [64, 2],
    [24, 7],
    [3, 3],
    [0, 4],
  ] as const) {
    const parts = Array.from({ length: workers }, (_none, slot) => partOf(whole, { slot, workers }))
    assert.equal(
      parts.reduce((sum, part) => sum + part, 0),
      whole,
    )
    assert.ok(Math.max(...parts) - Math.min(...parts) <= 1)
  }
})
