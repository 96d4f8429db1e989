import { it } from 'node:test'
import { checkRandomParts } from './differential.ts'

/** `npm run fuzz -- parts` goes on without end. */
const SEEDS = 30

it('every place of random documents is found, listed, shown and searched as the simplest parser sees it', async () => {
  for (let seed = 0; seed < SEEDS; seed++) await checkRandomParts(seed)
})
