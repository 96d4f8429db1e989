import assert from 'node:assert/strict'
import { AppError } from '../../src/errors.ts'
import { createBlockScan } from '../../src/json/scan-blocks.ts'
import { type Scan, scanBytes } from '../../src/json/scan-bytes.ts'
import { createJsonScanner, type ScannedJson } from '../../src/json/scanner.ts'
import { openBlockScanner } from '../../src/json/wasm/block-scanner.ts'
import { type RandomDocument, randomDocument } from './random-documents.ts'

/** Both ways to scan, on the same document. */
export interface ScannerDifferential {
  /** @returns whether the document was valid. @throws AssertionError at any difference, or where the blocks refuse what is valid. */
  check(document: RandomDocument): boolean
  /** The same, of the document of that seed. */
  checkRandom(seed: number): boolean
  /** How many blocks were scanned. */
  blocks(): number
}

interface Course {
  /** The chunk whose write threw; none where the end did, or nothing. */
  readonly chunk?: number
  readonly code?: string
  readonly message?: string
  readonly scanned?: ScannedJson
}

export function createScannerDifferential(): ScannerDifferential {
  const instance = openBlockScanner()
  assert.ok(instance, 'WebAssembly with SIMD is there')
  let scanned = 0
  let refused = 0
  const counting: typeof instance = {
    ...instance,
    scan(blocks, ...rest) {
      const carries = instance.scan(blocks, ...rest)
      scanned += blocks
      if (carries < 0) refused++
      return carries
    },
  }
  // As soon as there is a block at all.
  const scanBlocks = createBlockScan(counting, 64 + instance.lookAhead)

  function check(document: RandomDocument): boolean {
    refused = 0
    const expected = courseOf(document, scanBytes)
    const told = () => `${JSON.stringify(document.bytes.toString('latin1'))} cut at ${document.cuts.join()}`
    assert.deepEqual(courseOf(document, scanBlocks), expected, told())
    if (expected.scanned) assert.equal(refused, 0, `refused at first: ${told()}`)
    return expected.scanned !== undefined
  }
  return { check, checkRandom: (seed) => check(randomDocument(seed)), blocks: () => scanned }
}

function courseOf({ bytes, cuts, maxDepth, maxBytes }: RandomDocument, scan: Scan): Course {
  const scanner = createJsonScanner({ maxDepth, maxBytes, scan })
  const ends = [...cuts, bytes.length]
  let chunk = 0
  try {
    for (; chunk < ends.length; chunk++) scanner.write(bytes.subarray(ends[chunk - 1] ?? 0, ends[chunk]))
    return { scanned: scanner.end() }
  } catch (error) {
    if (!(error instanceof AppError)) throw error
    return { chunk, code: error.code, message: error.message }
  }
}
