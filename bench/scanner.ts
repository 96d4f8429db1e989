import { createJsonScanner } from '../src/json/scanner.ts'

/*
 * How fast the scanner validates, beside JSON.parse on the same bytes: `node bench/scanner.ts [megabytes of each set, 64]`.
 * Medians of rounds in which the two take turns; JSON.parse pays for decoding the bytes, as it cannot take them.
 */
const CHUNK_BYTES = 64 * 1024
const ROUNDS = 5
const WORDS = 'run step status input output retry model token content role message agent state node edge value'.split(
  ' ',
)

/** The same numbers in every run: 0 up to 1. */
function createRandom(): () => number {
  let seed = 7
  return () => {
    seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0
    return seed / 2 ** 32
  }
}

const random = createRandom()
const upTo = (limit: number) => Math.floor(random() * limit)
const word = () => WORDS[upTo(WORDS.length)] ?? ''
const words = (count: number) => Array.from({ length: count }, word).join(' ')

/** One array element of each set, as text. */
const sets: Record<string, () => string> = {
  'pretty-printed objects, short strings': () =>
    JSON.stringify(
      {
        id: `${word()}-${upTo(1e6)}`,
        [word()]: { kind: word(), done: random() < 0.5, error: null, tags: [word(), word(), word()] },
        deep: { [word()]: { count: upTo(1000), text: words(3), nested: [{ [word()]: word() }] } },
      },
      null,
      2,
    ),
  'compact objects of numbers': () =>
    JSON.stringify({
      x: random() * 1000,
      y: upTo(1e6),
      z: -random(),
      t: upTo(10),
      v: [upTo(100), random(), upTo(1e9)],
    }),
  'strings of some 3 MB': () => JSON.stringify(words(2 ** 19)),
  'text in Chinese, Japanese and emoji': () =>
    JSON.stringify({
      名前: '王小明',
      text: `状態の記録と検証😀🚀 ${word()} 中文字符测试🎉`,
      body: '日本語テキスト'.repeat(upTo(8)),
    }),
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

function scan(document: Buffer): void {
  const scanner = createJsonScanner()
  for (let at = 0; at < document.length; at += CHUNK_BYTES) scanner.write(document.subarray(at, at + CHUNK_BYTES))
  scanner.end()
}

function parse(document: Buffer): void {
  JSON.parse(document.toString('utf8'))
}

function megabytesPerSecond(run: (document: Buffer) => void, document: Buffer): number {
  const start = performance.now()
  run(document)
  return document.length / 1e3 / (performance.now() - start)
}

function median(values: readonly number[]): number {
  return [...values].sort((a, b) => a - b)[values.length >> 1] ?? 0
}

const sizeBytes = Number(process.argv[2] ?? 64) * 1e6
// All sets pass once before any is timed, so that the loop is optimised for a mixture, as it is in a server.
for (const element of Object.values(sets)) scan(build(element, 8e6))

process.stdout.write(`${'MB/s'.padEnd(40)}${'scanner'.padStart(10)}${'JSON.parse'.padStart(12)}\n`)
for (const [name, element] of Object.entries(sets)) {
  const document = build(element, sizeBytes)
  const scanned: number[] = []
  const parsed: number[] = []
  for (let round = 0; round < ROUNDS; round++) {
    scanned.push(megabytesPerSecond(scan, document))
    parsed.push(megabytesPerSecond(parse, document))
  }
  const [ours, theirs] = [median(scanned).toFixed(0), median(parsed).toFixed(0)]
  process.stdout.write(`${name.padEnd(40)}${ours.padStart(10)}${theirs.padStart(12)}\n`)
}
