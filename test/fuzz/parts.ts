import { checkRandomKeys, checkRandomParts } from '../json/parts/differential.ts'
import type { Fuzz } from './run.ts'

/** Random documents, indexed by blocks and byte by byte, and read beside the simplest parser; keys by tables of them. */
export async function openParts(): Promise<Fuzz> {
  let documents = 0
  return {
    async check(seed) {
      await checkRandomParts(seed)
      await checkRandomKeys(seed)
      documents++
    },
    told: () => `${documents} documents read in parts`,
    async [Symbol.asyncDispose]() {},
  }
}
