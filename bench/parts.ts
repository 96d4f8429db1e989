import { type FileHandle, mkdtemp, open, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type JsonDocument, openDocument } from '../src/json/parts/document.ts'
import { encodeIndex } from '../src/json/parts/index-codec.ts'
import { createIndexer } from '../src/json/parts/indexer.ts'
import { type JsonIndex, UNIT_BYTES } from '../src/json/parts/json-index.ts'
import { groupRules, type NoteState } from '../src/json/parts/notes.ts'
import { createBlockNotes } from '../src/json/parts/noting-scan.ts'
import type { Scan } from '../src/json/scan-bytes.ts'
import { createJsonScanner, type JsonScanner } from '../src/json/scanner.ts'
import { FRAME_SIZE } from '../src/json/wasm/noted.ts'
import { SHAPES, type Shape } from '../test/json/parts/shapes.ts'
import { describeMachine, formatNumber, note, print, printTable } from './lib/report.ts'

/*
 * What an index costs beside the scan in whose pass it is made, how large it is, and what is read by it, on documents that are hard on
 * it: `node bench/parts.ts [megabytes of each, 1024] [part of a name]`. They are made as they are read, and lie in a file meanwhile.
 */
const MIB = 2 ** 20
const BATCH_BYTES = 8 * MIB
const CHUNK_BYTES = 64 * 1024
const PLACES = [0, 0.25, 0.5, 0.9, 0.999]
const PAGE = 100

interface Measured {
  readonly sizeBytes: number
  readonly index: JsonIndex
  /** Seconds of CPU a GB. */
  readonly seconds: { readonly scan: number; readonly notes: number; readonly all: number }
}

/** Batches of whole chunks, but for the last one. */
function* batches({ chunks }: Shape, sizeBytes: number): Generator<Buffer> {
  let parts: Buffer[] = []
  let length = 0
  for (const chunk of chunks(sizeBytes, UNIT_BYTES)) {
    const part = Buffer.from(chunk)
    parts.push(part)
    length += part.length
    if (length < BATCH_BYTES) continue
    const all = Buffer.concat(parts)
    const whole = all.length - (all.length % CHUNK_BYTES)
    yield all.subarray(0, whole)
    parts = [all.subarray(whole)]
    length = all.length - whole
  }
  yield Buffer.concat(parts)
}

/** Takes notes for nothing: what they cost without hashes and without a tree. */
function notesAlone(): Scan {
  const state: NoteState = {
    rules: groupRules(UNIT_BYTES),
    frames: new Float64Array(1024 * FRAME_SIZE),
    depth: 0,
    offset: 0,
    token: 0,
    last: Buffer.alloc(8),
    take() {},
  }
  return createBlockNotes(state)
}

function secondsOf(scanner: JsonScanner, batch: Buffer): number {
  const before = process.threadCpuUsage()
  for (let at = 0; at < batch.length; at += CHUNK_BYTES) scanner.write(batch.subarray(at, at + CHUNK_BYTES))
  const { user, system } = process.threadCpuUsage(before)
  return (user + system) / 1e6
}

/** All three ways take turns on each batch. */
async function measure(shape: Shape, sizeBytes: number, file: FileHandle): Promise<Measured> {
  const indexer = createIndexer()
  const ways = {
    scan: createJsonScanner(),
    notes: createJsonScanner({ scan: notesAlone() }),
    all: createJsonScanner({ scan: indexer.scan }),
  }
  const seconds = { scan: 0, notes: 0, all: 0 }
  let written = 0
  for (const batch of batches(shape, sizeBytes)) {
    for (const way of ['scan', 'notes', 'all'] as const) seconds[way] += secondsOf(ways[way], batch)
    await file.write(batch, 0, batch.length, written)
    written += batch.length
  }
  ways.all.end()
  const index = indexer.end()
  if (!index) throw new Error('A document of more than a MiB has an index')
  const perGigabyte = (value: number) => (value / written) * 1e9
  const { scan, notes, all } = seconds
  return {
    sizeBytes: written,
    index,
    seconds: { scan: perGigabyte(scan), notes: perGigabyte(notes), all: perGigabyte(all) },
  }
}

interface Cost {
  reads: number
  bytes: number
  milliseconds: number
}

/** The dearest of pages of children of the node that has most of them, and of the places at their beginnings. */
async function readParts({ index, sizeBytes }: Measured, file: FileHandle): Promise<Cost> {
  const most: Cost = { reads: 0, bytes: 0, milliseconds: 0 }
  const ask = async <T>(question: (document: JsonDocument) => Promise<T>): Promise<T> => {
    const cost: Cost = { reads: 0, bytes: 0, milliseconds: 0 }
    const read = async (start: number, end: number) => {
      cost.reads++
      cost.bytes += end - start
      return (await file.read(Buffer.alloc(end - start), 0, end - start, start)).buffer
    }
    const begin = performance.now()
    const answer = await question(openDocument({ index, sizeBytes, read, stream: () => file.createReadStream() }))
    cost.milliseconds = performance.now() - begin
    for (const key of ['reads', 'bytes', 'milliseconds'] as const) most[key] = Math.max(most[key], cost[key])
    return answer
  }
  let parent = await ask((document) => document.at(''))
  for (const part of PLACES) {
    const skip = Math.floor(part * Math.max(0, (parent.childCount ?? 1) - 1))
    const page = await ask((document) => document.children(parent, { first: PAGE, skip }))
    const [child] = page.children
    if (!child) break
    // Keys that the index does not keep are another question.
    if (parent.type === 'ARRAY') await ask((document) => document.at(child.place.pointer))
    const largest = page.children.reduce((one, other) => (one.place.sizeBytes > other.place.sizeBytes ? one : other))
    if (parent.sizeBytes < 2 * largest.place.sizeBytes) parent = largest.place
  }
  return most
}

const HEAD = [
  'document',
  'index, KiB a GiB',
  'scan, s a GB',
  'notes',
  'digests and tree, s a GB',
  'reads',
  'KiB read',
  'ms',
]

function rowOf({ name }: Shape, { index, sizeBytes, seconds }: Measured, cost: Cost): string[] {
  const { scan, notes, all } = seconds
  return [
    name,
    formatNumber((encodeIndex(index, '').length / sizeBytes) * MIB),
    formatNumber(scan),
    `${Math.round((notes / scan - 1) * 100)} %`,
    formatNumber(all - notes),
    String(cost.reads),
    formatNumber(cost.bytes / 1024),
    formatNumber(cost.milliseconds),
  ]
}

const [megabytes = '1024', only = ''] = process.argv.slice(2)
const folder = await mkdtemp(join(tmpdir(), 'statelens-parts-'))
try {
  print(await describeMachine([`${megabytes} MiB of each`]))
  print()
  const rows: string[][] = []
  for (const shape of SHAPES.filter(({ name }) => name.includes(only))) {
    note(shape.name)
    await using file = await open(join(folder, 'document'), 'w+')
    const measured = await measure(shape, Number(megabytes) * MIB, file)
    rows.push(rowOf(shape, measured, await readParts(measured, file)))
  }
  printTable(HEAD, rows)
} finally {
  await rm(folder, { recursive: true })
}
