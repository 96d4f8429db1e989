import { createWriteStream } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { encodeIndex } from '../../src/json/parts/index-codec.ts'
import { createIndexer } from '../../src/json/parts/indexer.ts'
import { createJsonScanner } from '../../src/json/scanner.ts'
import { createRandom } from './statistics.ts'

/** A state, and another that was made of it by one edit. */
export interface Edit {
  readonly name: string
  /** Bytes that the prototype read of either side of a state of 53 MB; undefined where it read everything. */
  readonly prototypeBytes?: number
  readonly from: () => Iterable<string>
  readonly to: () => Iterable<string>
}

const WORDS = 'run step status input output retry model token content role message agent state node edge value'.split(
  ' ',
)
const BATCH_LENGTH = 65_536
const POOL_LENGTH = 2 ** 20

/** Text that contents are cut out of: words of their own would cost more than all that is measured. */
const pool = (() => {
  const random = createRandom(7)
  const words: string[] = []
  for (let length = 0; length < 2 * POOL_LENGTH; length += words.at(-1)?.length ?? 0) {
    words.push(WORDS[Math.floor(random() * WORDS.length)] ?? '')
  }
  return words.join(' ')
})()

/** An answer of an agent, mostly of 0.5 to 4 KB. The same for the same number. */
function message(number: number, input = number % 1000) {
  const random = createRandom(number + 1)
  const start = Math.floor(random() * POOL_LENGTH)
  const length = 300 + Math.floor(random() * 3500)
  const content = pool.slice(start, start + length)
  return { id: `m${number}`, role: number % 2 ? 'user' : 'assistant', content, usage: { input, output: length } }
}

const MESSAGE_BYTES = 2150

function* list(items: Iterable<string>): Generator<string> {
  let separator = ''
  for (const item of items) {
    yield separator + item
    separator = ','
  }
}

function* state(messages: Iterable<string>): Generator<string> {
  yield '{"run":"r1","messages":['
  yield* list(messages)
  yield '],"total":5}'
}

const integers = (count: number, extra: readonly number[] = []) =>
  function* (): Generator<string> {
    yield '['
    yield* list(
      (function* () {
        for (let i = 0; i < count; i++) {
          if (i === 10) yield* extra.map(String)
          yield String((i * 7919) % 1_000_003)
        }
      })(),
    )
    yield ']'
  }

/** Edits of a state of about so many bytes. */
export function createEdits(sizeBytes: number): readonly Edit[] {
  const count = Math.round(sizeBytes / MESSAGE_BYTES)
  const middle = count >> 1
  const texts = (numbers: Iterable<number>, changed: ReadonlySet<number> = new Set()) =>
    (function* () {
      for (const number of numbers) yield JSON.stringify(changed.has(number) ? message(number, -1) : message(number))
    })()
  const range = function* (start: number, end: number, step = 1) {
    for (let at = start; step > 0 ? at < end : at > end; at += step) yield at
  }
  const all = () => range(0, count)
  const from = () => state(texts(all()))
  const scattered = new Set(Array.from({ length: 100 }, (_, i) => Math.floor((i * count) / 100)))
  const front = function* () {
    yield count
    yield* all()
  }
  return [
    { name: 'one leaf in the middle', prototypeBytes: 54_000, from, to: () => state(texts(all(), new Set([middle]))) },
    { name: 'an element put at the front', prototypeBytes: 119_000, from, to: () => state(texts(front())) },
    { name: '20 messages appended', prototypeBytes: 77_000, from, to: () => state(texts(range(0, count + 20))) },
    {
      name: 'one number put at index 10 of many',
      prototypeBytes: 34_000,
      from: integers(Math.round(sizeBytes / 53)),
      to: integers(Math.round(sizeBytes / 53), [5]),
    },
    { name: '100 scattered leaves', prototypeBytes: 7_800_000, from, to: () => state(texts(all(), scattered)) },
    {
      name: 'top-level keys in another order',
      prototypeBytes: 0,
      from,
      *to() {
        yield '{"total":5,"messages":['
        yield* list(texts(all()))
        yield '],"run":"r1"}'
      },
    },
    {
      name: 're-indented copy',
      from,
      to: () => state(all().map((number) => JSON.stringify(message(number), null, 2))),
    },
    { name: 'reversed array', from, to: () => state(texts(range(count - 1, -1, -1))) },
  ]
}

/** Writes a document and its index beside it. @returns its size in bytes. */
export async function writeDocument(path: string, pieces: Iterable<string>): Promise<number> {
  const indexer = createIndexer()
  const scanner = createJsonScanner({ scan: indexer.scan })
  let sizeBytes = 0
  function* chunks(): Generator<Buffer> {
    let held = ''
    for (const piece of pieces) {
      held += piece
      if (held.length < BATCH_LENGTH) continue
      yield take(held)
      held = ''
    }
    yield take(held)
  }
  function take(text: string): Buffer {
    const chunk = Buffer.from(text)
    scanner.write(chunk)
    sizeBytes += chunk.length
    return chunk
  }
  await pipeline(Readable.from(chunks(), { objectMode: false }), createWriteStream(path))
  scanner.end()
  const index = indexer.end()
  if (!index) throw new Error('a document of the bench is large enough for an index')
  await writeFile(`${path}.index`, encodeIndex(index, path))
  return sizeBytes
}
