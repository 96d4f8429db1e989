import { execFile } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs, promisify } from 'node:util'
import { createEdits, type Edit, writeDocument } from './lib/diff-states.ts'
import type { WayResult } from './lib/diff-way.ts'
import { installPeers } from './lib/install.ts'
import { describeMachine, endPart, formatNumber, note, print, printTable } from './lib/report.ts'

/*
 * What it takes to tell two states apart: by their indexes, and by libraries, which parse both. `node bench/diff.ts [--megabytes 53]
 * [--only leaf] [--peers] [--write]`. Each in a process of its own; the figures are its CPU and its peak, and bytes that were read.
 */
const PEERS = ['JSON.parse alone', 'microdiff', 'json-diff-ts', 'jsondiffpatch'] as const
const WAY = join(import.meta.dirname, 'lib', 'diff-way.ts')
const PATIENCE_MILLIS = 60_000

async function compare(way: string, folder: string, memory: number): Promise<WayResult | null> {
  const args = [`--max-old-space-size=${memory}`, WAY, way, join(folder, 'from.json'), join(folder, 'to.json')]
  const running = promisify(execFile)(process.execPath, args, { timeout: PATIENCE_MILLIS })
  return await running.then(
    ({ stdout }) => JSON.parse(stdout) as WayResult,
    () => null,
  )
}

async function measure(edit: Edit, folder: string): Promise<string[][]> {
  note(edit.name)
  await writeDocument(join(folder, 'from.json'), edit.from())
  const sizeBytes = await writeDocument(join(folder, 'to.json'), edit.to())
  const ours = await compare('statelens', folder, 512)
  if (!ours) throw new Error(`${edit.name} could not be compared`)
  const { prototypeBytes = sizeBytes } = edit
  const most = Math.max(...ours.readBytes)
  const head = [
    `${kilobytes(ours.readBytes[0])} / ${kilobytes(ours.readBytes[1])}`,
    String(ours.reads),
    prototypeBytes === 0 ? '–' : formatNumber(most / prototypeBytes),
    `${ours.changes}${ours.isTruncated ? ' …' : ''}`,
  ]
  const rows = [[edit.name, ...head, costOf(ours)]]
  for (const peer of peers) rows[0]?.push(costOf(await compare(peer, folder, 4096)))
  return rows
}

function kilobytes(bytes: number): string {
  return `${formatNumber(bytes / 1024)} KiB`
}

function costOf(result: WayResult | null): string {
  if (!result) return 'not within 60 s and 4 GB'
  return `${formatNumber(result.cpuMillis)} ms, ${formatNumber(result.peakMegabytes)} MB`
}

const { values } = parseArgs({
  options: {
    megabytes: { type: 'string', default: '53' },
    only: { type: 'string', default: '' },
    peers: { type: 'boolean', default: false },
    write: { type: 'boolean', default: false },
  },
})
const megabytes = Number(values.megabytes)
const peers = values.peers ? PEERS : []
if (values.peers) await installPeers()
const folder = await mkdtemp(join(tmpdir(), 'statelens-bench-diff-'))
try {
  const rows: string[][] = []
  const edits = createEdits(megabytes * 1e6).filter(({ name }) => name.includes(values.only))
  for (const edit of edits) rows.push(...(await measure(edit, folder)))
  print(await describeMachine([`states of ${megabytes} MB`]))
  print()
  printTable(['edit', 'read of either', 'reads', 'of the prototype', 'changes', 'by indexes', ...peers], rows)
  await endPart(megabytes >= 1000 ? 'diff-huge' : 'diff', { write: values.write })
} finally {
  await rm(folder, { recursive: true, force: true })
}
