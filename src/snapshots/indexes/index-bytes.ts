import { createIndexer } from '../../json/parts/indexer.ts'
import type { JsonIndex } from '../../json/parts/json-index.ts'
import { createJsonScanner } from '../../json/scanner.ts'
import { chunksOf } from '../views/payload-bytes.ts'

/** The index of a document that is all here; null where it needs none. @throws AppError `INVALID_PAYLOAD`. */
export async function indexBytes(bytes: Buffer): Promise<JsonIndex | null> {
  const indexer = createIndexer()
  const scanner = createJsonScanner({ scan: indexer.scan })
  for await (const chunk of chunksOf(bytes)) scanner.write(chunk)
  scanner.end()
  return indexer.end()
}
