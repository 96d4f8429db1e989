import { createState } from './states.ts'
import { createRandom } from './statistics.ts'

export interface ScannerSet {
  readonly name: string
  readonly document: Buffer
  /** How many times faster than byte by byte it should be scanned. */
  readonly atLeast: number
}

const random = createRandom(7)
const upTo = (limit: number) => Math.floor(random() * limit)
const WORDS = 'run step status input output retry model token content role message agent state node edge value'.split(
  ' ',
)
const word = () => WORDS[upTo(WORDS.length)] ?? ''
const words = (count: number) => Array.from({ length: count }, word).join(' ')
const list = <T>(count: number, make: () => T) => Array.from({ length: count }, make)
const nest = (depth: number): object =>
  depth === 0 ? { n: upTo(100) } : { [word()]: nest(depth - 1), k: upTo(10), l: [nest(0)] }
const pretty = () => ({
  id: `${word()}-${upTo(1e6)}`,
  [word()]: { kind: word(), done: random() < 0.5, error: null, tags: list(3, word) },
  deep: { [word()]: { count: upTo(1000), text: words(3), nested: [{ [word()]: word() }] } },
})
const escaped = () => ({ t: `${'日本語テキスト'.repeat(1 + upTo(6))}\n\t${word()}` })
const escapeAll = (text: string) =>
  text.replace(/[^\0-\x7f]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`)

/** One array element of each set, as text, and its bar. */
const ELEMENTS: Readonly<Record<string, readonly [atLeast: number, () => string]>> = {
  'small integers': [3, () => JSON.stringify(list(40, () => upTo(1000)))],
  'objects of numbers': [
    3,
    () =>
      JSON.stringify({
        x: random() * 1000,
        y: upTo(1e6),
        z: -random(),
        t: upTo(10),
        v: [upTo(100), random(), upTo(1e9)],
      }),
  ],
  'numbers of 16 digits': [2, () => JSON.stringify(list(64, () => random() * 2 - 1))],
  'small objects, deeply nested': [3, () => JSON.stringify(nest(12))],
  'pretty-printed objects, short strings': [3, () => JSON.stringify(pretty(), null, 2)],
  'escaped text': [3, () => escapeAll(JSON.stringify(escaped()))],
  'strings of some 3 MB': [1.2, () => JSON.stringify(words(2 ** 19))],
  'text in Chinese, Japanese and emoji': [
    1.2,
    () =>
      JSON.stringify({
        名前: '王小明',
        text: `状態の記録と検証😀🚀 ${word()} 中文字符测试🎉`,
        body: '日本語テキスト'.repeat(upTo(8)),
      }),
  ],
}

export function scannerSets(sizeBytes: number): readonly ScannerSet[] {
  const state = Buffer.concat([...createState(sizeBytes).chunks()])
  const others = Object.entries(ELEMENTS).map(([name, [atLeast, element]]) => ({
    name,
    atLeast,
    document: build(element, sizeBytes),
  }))
  return [{ name: 'states of the other benchmarks', atLeast: 2, document: state }, ...others]
}

/** What an agent keeps, of about so many bytes. */
export function smallState(sizeBytes: number): Buffer {
  const message = () =>
    JSON.stringify({ role: word(), content: words(8 + upTo(12)), tokens: upTo(1e4), cost: random(), done: true })
  return build(message, Math.max(1, sizeBytes - 150))
}

function build(element: () => string, sizeBytes: number): Buffer {
  const parts: Buffer[] = [Buffer.from('[')]
  for (let size = 0; size < sizeBytes; ) {
    const part = Buffer.from(`${size === 0 ? '' : ','}${element()}`)
    parts.push(part)
    size += part.length
  }
  return Buffer.concat([...parts, Buffer.from(']')])
}
