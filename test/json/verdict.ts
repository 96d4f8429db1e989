import { AppError } from '../../src/errors.ts'
import { createJsonScanner, type JsonScannerOptions, type ScannedJson } from '../../src/json/scanner.ts'

export interface Verdict {
  readonly scanned?: ScannedJson
  readonly code?: string
  readonly message?: string
}

/** What the scanner says of the document when it is cut at these offsets, which may be in any order, repeated or outside. */
export function verdictOf(
  document: Uint8Array,
  cuts: readonly number[] = [],
  options: JsonScannerOptions = {},
): Verdict {
  const scanner = createJsonScanner(options)
  try {
    let start = 0
    for (const cut of [...cuts].sort((a, b) => a - b)) {
      if (cut < start || cut > document.length) continue
      scanner.write(document.subarray(start, cut))
      start = cut
    }
    scanner.write(document.subarray(start))
    return { scanned: scanner.end() }
  } catch (error) {
    if (!(error instanceof AppError)) throw error
    return { code: error.code, message: error.message }
  }
}

/** Cut after every byte. */
export function bytewise(document: Uint8Array): number[] {
  return Array.from(document, (_, index) => index)
}
