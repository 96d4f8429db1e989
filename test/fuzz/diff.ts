import { checkRandomDiff, type Grain } from '../json/diff/differential.ts'
import type { Fuzz } from './run.ts'

const GRAINS: readonly Grain[] = [
  {},
  { unitBytes: 64 },
  { unitBytes: 300 },
  { unitBytes: 64, limits: { bytes: 2000, children: 20 } },
]

/** Random pairs of documents, compared by their indexes and by a plain reference. */
export async function openDiffs(): Promise<Fuzz> {
  let [pairs, same, changes] = [0, 0, 0]
  return {
    async check(seed) {
      const checked = await checkRandomDiff(seed, GRAINS[seed % GRAINS.length] ?? {})
      pairs++
      changes += checked.changes
      if (checked.isSame) same++
    },
    told: () => `${pairs} pairs of documents, ${same} of them the same, ${changes} changes`,
    async [Symbol.asyncDispose]() {},
  }
}
