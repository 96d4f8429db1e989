import { createJsonScanner } from '../../src/json/scanner.ts'
import { ask, type Bench, getSource, graphqlSource, watchMemory } from './payload-setup.ts'
import { cpuSeconds, type ServerProcess } from './processes.ts'
import { formatNumber, note, print, printBars, printTable } from './report.ts'
import { createState, type State } from './states.ts'
import { median, pairedRatio } from './statistics.ts'
import { type Stored, upload, verify } from './transfer.ts'

const MB = 1e6

/** Capture of 100 MB by PUT, in turn with the validating scan of the same bytes and nothing else. */
export async function put(bench: Bench): Promise<void> {
  const statelens = await bench.startStatelens()
  const state = createState(100 * MB)
  const captured: number[] = []
  const scanned: number[] = []
  const cpu: number[] = []
  for (let round = -1; round < bench.rounds; round++) {
    bench.session.throwIfOver()
    const before = await cpuSeconds(statelens.pid)
    const { snapshotId, seconds } = await upload(statelens.origin, 'put', state)
    const used = (await cpuSeconds(statelens.pid)) - before
    await ask(statelens, `mutation { deleteSnapshot(snapshotId: "${snapshotId}") { deleted } }`)
    const scan = secondsToScan(state)
    if (round < 0) continue
    captured.push(state.sizeBytes / MB / seconds)
    scanned.push(state.sizeBytes / MB / scan)
    cpu.push((used * 1e9) / state.sizeBytes)
  }
  print('**Capture of 100 MB by PUT: hash, validate, preview, store in S3**')
  print()
  printTable(
    ['what', 'MB/s', 'CPU s a GB', 'against the scan'],
    [
      ['PUT', formatNumber(median(captured)), formatNumber(median(cpu)), formatNumber(pairedRatio(captured, scanned))],
      ['validating scan alone', formatNumber(median(scanned)), formatNumber(1000 / median(scanned)), '1.00'],
    ],
  )
  printBars([
    { what: 'capture by PUT', value: median(captured), unit: ' MB/s', atLeast: 120 },
    { what: 'capture by PUT against the validating scan alone', value: pairedRatio(captured, scanned), atLeast: 0.6 },
  ])
}

function secondsToScan(state: State): number {
  const scanner = createJsonScanner()
  const begin = performance.now()
  for (const chunk of state.chunks()) scanner.write(chunk)
  scanner.end()
  return (performance.now() - begin) / 1000
}

/** 1 GiB in by PUT, out through GraphQL, out by GET: how far a process grows by each, and whether the bytes are the same. */
export async function gibibyte(bench: Bench): Promise<void> {
  note('Making 1 GiB …')
  const state = createState(2 ** 30)
  let stored: Stored | undefined
  const ways: Readonly<Record<string, (server: ServerProcess) => Promise<unknown>>> = {
    async 'in by PUT'({ origin }) {
      stored = await upload(origin, 'gib', state)
    },
    'out through GraphQL': (server) => verify(graphqlSource(server, 'gib'), state),
    'out by GET': (server) => verify(getSource(server, { snapshotId: stored?.snapshotId ?? '' }), state),
  }
  const measured: { readonly name: string; readonly growth: number; readonly megabytesPerSecond: number }[] = []
  for (const [name, work] of Object.entries(ways)) {
    // Each has a process of its own: what one leaves in memory would hide what the next one takes.
    const server = await bench.startStatelens()
    await warmUp(server)
    const begin = performance.now()
    const { growth } = await (await watchMemory(server)).during(() => work(server))
    measured.push({ name, growth, megabytesPerSecond: state.sizeBytes / 1000 / (performance.now() - begin) })
  }
  print('**1 GiB, the bytes compared by SHA-256 (the client hashes too, so MB/s are lower than they could be)**')
  print()
  printTable(
    ['way', 'memory growth, MB', 'MB/s', 'digest'],
    measured.map(({ name, growth, megabytesPerSecond }) => [
      name,
      formatNumber(growth),
      formatNumber(megabytesPerSecond),
      'the same',
    ]),
  )
  printBars(
    measured.map(({ name, growth }) => ({
      what: `1 GiB ${name}: memory growth`,
      value: growth,
      unit: ' MB',
      atMost: 64,
    })),
  )
}

/** 1 MB in, and out by both ways. */
async function warmUp(server: ServerProcess): Promise<void> {
  const state = createState(MB)
  const stored = await upload(server.origin, 'warm', state)
  await verify(graphqlSource(server, 'warm'), state)
  await verify(getSource(server, stored), state)
}
