import type { TypedBytes } from '../../db/foreign/langgraph-tables.ts'

/** Divisible by three: base64 of one part may stand before that of the next. */
const PART_BYTES = 3 * 1_048_576

/** What is JSON already, or stands for nothing. */
export function isJsonType(type: string): boolean {
  return type === 'json' || type === 'null'
}

/** A value as JSON: what is JSON as it is, of other types base64. */
export async function* typedJson(
  row: TypedBytes,
  readPart: (part: { readonly offset: number; readonly sizeBytes: number }) => Promise<Buffer>,
): AsyncGenerator<Buffer, void, undefined> {
  if (row.type === 'null') return yield Buffer.from('null')
  const isJson = row.type === 'json'
  if (!isJson) yield Buffer.from('"')
  for (let offset = 0; offset < row.sizeBytes; offset += PART_BYTES) {
    const sizeBytes = Math.min(PART_BYTES, row.sizeBytes - offset)
    const part = row.bytes ?? (await readPart({ offset, sizeBytes }))
    yield isJson ? part : Buffer.from(part.toString('base64'))
  }
  if (!isJson) yield Buffer.from('"')
}
