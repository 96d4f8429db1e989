import { type Scan, scanBytes } from '../src/json/scan-bytes.ts'
import { createJsonScanner } from '../src/json/scanner.ts'
import { openBlockScanner } from '../src/json/wasm/block-scanner.ts'
import { type Measured, printBars } from './lib/bars.ts'
import { describeMachine, formatNumber, print, printTable } from './lib/report.ts'
import { type ScannerSet, scannerSets, smallState } from './lib/scanner-sets.ts'
import { median, pairedRatio, ratios } from './lib/statistics.ts'

/*
 * How fast documents are checked: by blocks in WebAssembly, byte by byte, and by JSON.parse, which pays for decoding the bytes, as it
 * cannot take them. `node bench/scanner.ts [megabytes of each set, 32] [rounds, 5]`. All take turns; figures are CPU of this thread.
 */
const MB = 1e6
const CHUNK_BYTES = 64 * 1024

interface Way {
  readonly name: string
  run(document: Buffer): void
}

function scan(document: Buffer, how?: Scan): void {
  const scanner = createJsonScanner(how ? { scan: how } : {})
  for (let at = 0; at < document.length; at += CHUNK_BYTES) scanner.write(document.subarray(at, at + CHUNK_BYTES))
  scanner.end()
}

const WAYS: readonly [Way, Way, Way] = [
  { name: 'as it is used', run: (document) => scan(document) },
  { name: 'byte by byte', run: (document) => scan(document, scanBytes) },
  { name: 'JSON.parse', run: (document) => JSON.parse(document.toString('utf8')) },
]

/** Megabytes a CPU second of each way, round by round. */
function measure(document: Buffer, repeat: number): readonly (readonly number[])[] {
  const speeds: number[][] = WAYS.map(() => [])
  for (let round = 0; round < rounds; round++) {
    for (const [index, way] of WAYS.entries()) {
      const before = process.threadCpuUsage()
      for (let time = 0; time < repeat; time++) way.run(document)
      const { user, system } = process.threadCpuUsage(before)
      speeds[index]?.push((document.length * repeat) / (user + system))
    }
  }
  return speeds
}

function rowOf(name: string, speeds: readonly (readonly number[])[]): string[] {
  return [name, ...speeds.map((rounds) => formatNumber(median(rounds))), formatNumber(ratioOf(speeds))]
}

function ratioOf([blocks = [], bytes = []]: readonly (readonly number[])[]): number {
  return pairedRatio(blocks, bytes)
}

function barOf(name: string, [blocks = [], bytes = []]: readonly (readonly number[])[], atLeast: number): Measured {
  const how = 'MB a CPU second: as it is used / byte by byte'
  return { bar: { name, what: name, how, unit: '×', atLeast }, values: ratios(blocks, bytes) }
}

const [megabytes = 32, rounds = 5] = process.argv.slice(2).map(Number)
if (!openBlockScanner()) throw new Error('There is no WebAssembly with SIMD here')
const sets = scannerSets(megabytes * MB)
// All sets pass before any is timed, so that each loop is optimised for a mixture, as it is in a server.
for (const { document } of scannerSets(4 * MB)) for (const way of WAYS) way.run(document)

print(await describeMachine([`${megabytes} MB of each set`, `${rounds} rounds`]))
print()
const head = [...WAYS.map(({ name }) => name), 'against byte by byte']
const measured = sets.map((set: ScannerSet) => ({ ...set, speeds: measure(set.document, 1) }))
printTable(
  ['MB a CPU second', ...head],
  measured.map(({ name, speeds }) => rowOf(name, speeds)),
)
printBars(measured.map(({ name, atLeast, speeds }) => barOf(name, speeds, atLeast)))

const small = [200, 2000, 64_000].map((sizeBytes) => {
  const speeds = measure(smallState(sizeBytes), Math.round((megabytes * MB) / sizeBytes))
  return { name: `a state of ${sizeBytes} bytes`, speeds }
})
printTable(
  ['MB a CPU second, each with a scanner of its own', ...head],
  small.map(({ name, speeds }) => rowOf(name, speeds)),
)
// Both take the same way below some size: what is measured there is noise.
printBars(small.map(({ name, speeds }) => barOf(name, speeds, 0.95)))
