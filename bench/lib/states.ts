import { createHash } from 'node:crypto'
import { createRandom } from './statistics.ts'

/** A valid JSON document of exactly so many bytes, made again whenever it is read. */
export interface State {
  readonly sizeBytes: number
  /** As the schema shows it. */
  readonly digest: string
  chunks(): Generator<Buffer>
}

const CHUNK_BYTES = 64 * 1024
const BLOCK_BYTES = 2 ** 20
const HEAD = Buffer.from('{"messages":[')
const TAIL = Buffer.from(']}')

/** @param sizeBytes at least 100 */
export function createState(sizeBytes: number): State {
  const block = makeBlock()
  const blocks = Math.max(0, Math.floor((sizeBytes - HEAD.length - TAIL.length - 2) / block.length))
  const room = sizeBytes - HEAD.length - TAIL.length - blocks * block.length
  const filler = Buffer.from(`"${'.'.repeat(room - 2)}"`)
  function* chunks(): Generator<Buffer> {
    yield HEAD
    for (let i = 0; i < blocks; i++) yield* cut(block)
    yield* cut(filler)
    yield TAIL
  }
  const hash = createHash('sha256')
  for (const chunk of chunks()) hash.update(chunk)
  return { sizeBytes, digest: `sha256:${hash.digest('hex')}`, chunks }
}

function* cut(bytes: Buffer): Generator<Buffer> {
  for (let at = 0; at < bytes.length; at += CHUNK_BYTES) yield bytes.subarray(at, at + CHUNK_BYTES)
}

/** What agents keep: messages with text, numbers, lists and some nesting; about a MiB, ended by a comma. */
function makeBlock(): Buffer {
  const random = createRandom(7)
  const upTo = (limit: number) => Math.floor(random() * limit)
  const words = ['run', 'step', 'retry', 'model', 'token', 'naïve', 'agent', '状態', 'node "edge"', 'value\n']
  const text = (count: number) => Array.from({ length: count }, () => words[upTo(words.length)]).join(' ')
  const parts: Buffer[] = []
  for (let size = 0; size < BLOCK_BYTES; size += parts.at(-1)?.length ?? 0) {
    const message = {
      id: `msg-${upTo(1e9)}`,
      role: upTo(2) === 0 ? 'assistant' : 'tool',
      content: text(10 + upTo(60)),
      usage: { input: upTo(1e4), output: upTo(1e3), cost: random() },
      scores: Array.from({ length: upTo(8) }, () => random()),
      done: upTo(2) === 0,
      parent: null,
    }
    parts.push(Buffer.from(`${JSON.stringify(message)},`))
  }
  return Buffer.concat(parts)
}
