import { checkMasking, checkWideMasking } from '../json/mask/differential.ts'
import type { Fuzz } from './run.ts'

/** So many take about as long as the operations of one seed. */
const DOCUMENTS_PER_SEED = 100

/** Random documents, masked as a stream and by parsing. */
export async function openMasker(): Promise<Fuzz> {
  let [documents, masked] = [0, 0]
  return {
    async check(seed) {
      for (let index = 0; index < DOCUMENTS_PER_SEED; index++, documents++) {
        masked += checkMasking(seed * DOCUMENTS_PER_SEED + index)
      }
      masked += checkWideMasking(seed)
      documents++
    },
    told: () => `${documents} documents to mask, ${masked} places masked`,
    async [Symbol.asyncDispose]() {},
  }
}
