import { createScannerDifferential } from '../json/differential.ts'
import type { Fuzz } from './run.ts'

/** So many take about as long as the operations of one seed. */
const DOCUMENTS_PER_SEED = 100

/** Random documents, scanned by blocks and byte by byte. */
export async function openScanner(): Promise<Fuzz> {
  const differential = createScannerDifferential()
  let [documents, valid] = [0, 0]
  return {
    async check(seed) {
      for (let index = 0; index < DOCUMENTS_PER_SEED; index++, documents++) {
        if (differential.checkRandom(seed * DOCUMENTS_PER_SEED + index)) valid++
      }
    },
    told: () => `${documents} documents, ${valid} of them valid, ${differential.blocks()} blocks`,
    async [Symbol.asyncDispose]() {},
  }
}
