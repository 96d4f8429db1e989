import { createRandom } from '../support/random.ts'

/** One document to scan, and how. */
export interface RandomDocument {
  readonly bytes: Buffer
  /** Where it is cut, in order; some twice, so that a chunk is empty. */
  readonly cuts: readonly number[]
  readonly maxDepth: number
  readonly maxBytes: number
}

/** What a document is awkward with besides its mutations. */
const AWKWARD = ['{}[],:"\\ \n\t\r\f0123456789-+.eEtrufalsn/xb', '\0\u001f\u007f'].flatMap((text) => [
  ...Buffer.from(text),
])
const BYTES = [...AWKWARD, 0x80, 0x9f, 0xa0, 0xbf, 0xc0, 0xc2, 0xe0, 0xed, 0xef, 0xbb, 0xf0, 0xf4, 0xf5, 0xff]
const BLOCK = 64

/** The same for the same seed. Lengths are chosen so that everything comes to stand on the border of two blocks of 64 bytes. */
export function randomDocument(seed: number): RandomDocument {
  const random = createRandom(seed)
  const upTo = (limit: number) => Math.floor(random() * limit)
  const pick = <T>(choices: readonly T[]) => choices[upTo(choices.length)] as T
  const times = (count: number, make: () => string) => Array.from({ length: count }, make)

  const gap = () => (upTo(4) > 0 ? '' : pick([' ', '\n', '\t', '\r', '\r\n  ', ' '.repeat(upTo(3 * BLOCK))]))
  const stringPart = () =>
    pick([
      ...['', 'a', 'key', 'é', '日本', '😀', '\u007f', '{', '}', '[', ']', ':', ',', 'true', '12'],
      ...['\\"', '\\\\', '\\\\\\"', '\\u00e9', '\\uD83D', '\\ude00', '\\n', '\\/\\b\\f\\r\\t', '\\u0000'],
      'x'.repeat(upTo(3 * BLOCK)),
      '\\'.repeat(2 * upTo(BLOCK)),
      '語'.repeat(upTo(BLOCK)),
    ])
  const string = () => `"${times(1 + upTo(3), stringPart).join('')}"`
  const digits = () => pick(['0', '5', '12', '007', '9'.repeat(1 + upTo(2 * BLOCK))])
  const integer = () => pick(['', '-']) + pick(['0', '7', '10', `8${digits()}`])
  const fraction = () => pick(['', '', `.${digits()}`])
  const exponent = () => pick(['', '', pick(['e', 'E']) + pick(['', '+', '-']) + digits()])
  const number = () => integer() + fraction() + exponent()
  const scalars = [string, number, number, () => pick(['true', 'false', 'null']), () => pick(['[]', '{}', '""'])]

  function value(depth: number): string {
    const kind = upTo(depth > 6 ? scalars.length : scalars.length + 3)
    const scalar = scalars[kind]
    if (scalar) return scalar()
    const isArray = kind === scalars.length
    const member = () => `${gap()}${isArray ? '' : `${string()}${gap()}:${gap()}`}${value(depth + 1)}${gap()}`
    const inside = gap() + times(upTo(6), member).join(',')
    return isArray ? `[${inside}]` : `{${inside}}`
  }

  const several = () => `[${times(1 + upTo(12), () => gap() + value(1) + gap()).join(',')}]`

  /** So deep that it is about the limit. */
  function nested(maxDepth: number): string {
    const levels = times(Math.max(0, maxDepth - 4 + upTo(7)), () => pick(['[', '[', '{"k":', `{${gap()}"k"${gap()}:`]))
    const ends = levels.toReversed().map((open) => gap() + (open === '[' ? ']' : '}'))
    return levels.join('') + pick(['1', '[]', '{}', '""', 'null']) + ends.join('')
  }

  function mutate(bytes: Buffer): Buffer {
    const at = upTo(bytes.length + 1)
    const until = Math.min(bytes.length, at + upTo(4))
    const [before, after] = [bytes.subarray(0, at), bytes.subarray(at)]
    const kind = upTo(5)
    if (kind === 0) return Buffer.concat([before, bytes.subarray(until)])
    if (kind === 1) return Buffer.concat([before, bytes.subarray(upTo(at), at), after])
    if (kind === 2) return Buffer.from(before)
    return Buffer.concat([before, Buffer.from([pick(BYTES)]), kind === 3 ? after : bytes.subarray(at + 1)])
  }

  const maxDepth = pick([512, 512, upTo(8), upTo(3 * BLOCK)])
  const text = pick([() => nested(maxDepth), () => value(0), several, several])()
  let bytes: Buffer = Buffer.from(gap() + text + gap())
  if (upTo(30) === 0) bytes = Buffer.concat([Buffer.from([0xef, 0xbb, 0xbf]), bytes])
  if (upTo(3) > 0) for (let count = 1 + upTo(3); count > 0; count--) bytes = mutate(bytes)

  const step = pick([1, 7, BLOCK - 1, BLOCK, BLOCK + 1, BLOCK + 8, 200, 1000, Number.POSITIVE_INFINITY])
  const cuts: number[] = []
  for (let at = step; at < bytes.length; at += step) cuts.push(at)
  for (let count = upTo(3); count > 0; count--) cuts.push(upTo(bytes.length + 1))
  const maxBytes = upTo(10) === 0 ? upTo(bytes.length + 2) : Number.POSITIVE_INFINITY
  return { bytes, cuts: [...cuts, ...cuts.slice(0, upTo(2))].sort((a, b) => a - b), maxDepth, maxBytes }
}
