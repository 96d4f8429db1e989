import assert from 'node:assert/strict'
import { it } from 'node:test'
import { checkRandomKeys, checkRandomParts } from './differential.ts'

/** `npm run fuzz -- parts` goes on without end. */
const SEEDS = 30
const OBJECTS = 10

it('every place of random documents is found, listed, shown and searched as the simplest parser sees it', async () => {
  for (let seed = 0; seed < SEEDS; seed++) await checkRandomParts(seed)
})

it('every key of random objects is found by a table of them as it is found without', async () => {
  let made = 0
  for (let seed = 0; seed < OBJECTS; seed++) made += await checkRandomKeys(seed)
  assert.ok(made > OBJECTS, `${made} tables were made`)
})
