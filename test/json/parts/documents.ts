import type { DescentOptions } from '../../../src/json/parts/descent.ts'
import { type JsonDocument, openDocument } from '../../../src/json/parts/document.ts'
import { createIndexer } from '../../../src/json/parts/indexer.ts'
import type { JsonIndex } from '../../../src/json/parts/json-index.ts'
import { type CreateNotingScan, createBlockNotes } from '../../../src/json/parts/noting-scan.ts'
import { createJsonScanner } from '../../../src/json/scanner.ts'
import { createRandom } from '../../support/random.ts'

/** Small enough for small documents to have deep indexes. */
export const SMALL_UNIT = 128

export interface IndexingOptions {
  readonly unitBytes?: number
  readonly createScan?: CreateNotingScan
  /** Sizes of the chunks, again and again. */
  readonly steps?: readonly number[]
}

export function indexOf(
  bytes: Buffer,
  { unitBytes = SMALL_UNIT, steps = [1000], createScan = createBlockNotes }: IndexingOptions = {},
): JsonIndex {
  const indexer = createIndexer({ unitBytes, aboveBytes: 0, createScan })
  const scanner = createJsonScanner({ scan: indexer.scan })
  for (let at = 0, turn = 0; at < bytes.length; turn++) {
    const step = steps[turn % steps.length] ?? 1
    // What is not kept may change afterwards.
    scanner.write(Buffer.from(bytes.subarray(at, at + step)))
    at += step
  }
  scanner.end()
  const index = indexer.end()
  if (!index) throw new Error('There is an index for every document of some bytes')
  return index
}

export interface Opened {
  readonly document: JsonDocument
  readonly reads: { start: number; end: number }[]
}

/** Counts what is read. */
export function open(bytes: Buffer, index: JsonIndex | null, options: DescentOptions = {}): Opened {
  const reads: { start: number; end: number }[] = []
  const document = openDocument({
    ...options,
    index,
    sizeBytes: bytes.length,
    async read(start, end) {
      reads.push({ start, end })
      return bytes.subarray(start, end)
    },
    async *stream(start, end) {
      for (let at = start; at < end; at += 100) yield bytes.subarray(at, Math.min(end, at + 100))
    },
  })
  return { document, reads }
}

const KEYS = ['', 'a', 'b', 'key', '~0', '~1', 'a/b', 'm~n', '0', '1', '-', '00', 'é', '日本', '😀', ' ']
const RAW_KEYS = ['\\u0061', '\\"', '\\\\', '\\ud83d', '\\ude00', '\\ud83d\\ude00', '\\u0000', '\\n', '\\/']
const SCALARS = [
  '0',
  '-0',
  '1.0',
  '1e400',
  '12345678901234567890',
  'true',
  'false',
  'null',
  '""',
  '[]',
  '{}',
  '[ ]',
  '{\n}',
]

/** A valid document, the same one for the same seed. */
export function randomJson(seed: number): Buffer {
  const random = createRandom(seed)
  const upTo = (limit: number) => Math.floor(random() * limit)
  const pick = <T>(choices: readonly T[]) => choices[upTo(choices.length)] as T
  const isSpaced = upTo(2) === 0
  const gap = () => (isSpaced && upTo(3) === 0 ? pick([' ', '\n', '\t', '\r\n  ', ' '.repeat(upTo(100))]) : '')
  const wide = pick([3, 5, 20])
  const deep = pick([3, 6, 12])

  const key = () =>
    `"${pick([() => pick(KEYS), () => pick(RAW_KEYS), () => `k${upTo(40)}`, () => 'long'.repeat(upTo(40))])()}"`
  const string = () =>
    `"${Array.from({ length: upTo(4) }, () => pick(['text', 'é', '語', '😀', ...RAW_KEYS, '{[,:]}', 'x'.repeat(upTo(300))])).join('')}"`
  const number = () => pick([`${upTo(1e6)}`, `-${upTo(100)}.${upTo(100)}e${upTo(9)}`, '9'.repeat(1 + upTo(200))])

  let left = 80
  function value(depth: number): string {
    left--
    if (depth >= deep || left < 0 || upTo(4) === 0) return pick([() => pick(SCALARS), string, number])()
    const isArray = upTo(2) === 0
    const member = () => `${gap()}${isArray ? '' : `${key()}${gap()}:${gap()}`}${value(depth + 1)}${gap()}`
    const inside = gap() + Array.from({ length: upTo(wide) }, member).join(',')
    return isArray ? `[${inside}]` : `{${inside}}`
  }
  const filler = () => pick(['1', '2,3', '7'.repeat(upTo(80) + 1), '"xxxxxxxxxxxxxxxxxxxx"'])
  let text = value(0)
  for (let wraps = upTo(4) === 0 ? upTo(60) : 0; wraps > 0; wraps--) {
    text = pick([
      () => `[${text}]`,
      () => `[${filler()},${text}]`,
      () => `[${text},${filler()}]`,
      () => `{"w":${text}}`,
      () => `{"a":0,"w":${text},"t":[${filler()}]}`,
    ])()
  }
  return Buffer.from(gap() + text + gap())
}

const MEMBERS = 50

/** An object of some fifty keys, of which some are equal; its values are of all kinds. */
export function randomObject(seed: number): Buffer {
  const random = createRandom(seed)
  const pick = <T>(choices: readonly T[]) => choices[Math.floor(random() * choices.length)] as T
  const key = () => pick([() => pick(KEYS), () => pick(RAW_KEYS), () => `k${Math.floor(random() * 40)}`])()
  const value = () =>
    pick([() => pick(SCALARS), () => `"${'x{[,:'.repeat(20)}"`, () => `{"k1":[${pick(SCALARS)},{"a":0}]}`])()
  const gap = () => pick(['', '', ' ', '\n'])
  const members = Array.from({ length: MEMBERS }, () => `${gap()}"${key()}"${gap()}:${gap()}${value()}${gap()}`)
  return Buffer.from(`{${members.join()}}`)
}
