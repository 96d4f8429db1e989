import assert from 'node:assert/strict'
import { randomInt } from 'node:crypto'
import { it } from 'node:test'
import { playHistory, roundsOf } from './history.ts'

/** `HISTORY_SEED=7` plays one again; `npm run fuzz -- history` and `npm run soak` are the long forms. */
const SEED = Number(process.env['HISTORY_SEED'] ?? randomInt(2 ** 31))
const OPERATIONS = 60

it('I14: two servers keep every promise through captures, reads, deletes, sweeps, faults and kills', async (test) => {
  test.diagnostic(`HISTORY_SEED=${SEED}`)
  const { operations, counts } = await playHistory({ kind: 'file', seed: SEED, operations: OPERATIONS })
  assert.ok(operations > OPERATIONS / 2)
  assert.ok([...counts.keys()].some((what) => what.startsWith('trouble: ')))
})

it('a seed gives the same history again', () => {
  const options = { kind: 's3', seed: SEED, operations: 500 } as const
  assert.deepEqual(roundsOf(options), roundsOf(options))
  assert.notDeepEqual(roundsOf(options), roundsOf({ ...options, seed: SEED + 1 }))
})
