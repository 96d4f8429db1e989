import { startNginx } from './nginx.ts'
import { ask, type Bench, getSource, graphqlSource, type MemoryWatch, watchMemory } from './payload-setup.ts'
import { cpuSeconds, type ServerProcess } from './processes.ts'
import { formatNumber, note, print, printBars, printTable } from './report.ts'
import { createState } from './states.ts'
import { median, pairedRatio } from './statistics.ts'
import { download, type Source, type Stored, upload, verify } from './transfer.ts'

const MB = 1e6
const CLIENTS = [1, 8]

type WatchedSource = Source & { readonly server?: ServerProcess }

interface Figures {
  readonly megabytesPerSecond: number[]
  readonly cpuSecondsPerGigabyte: number[]
  growth: number
}

/** 100 MB out by every way, to one client and to eight. */
export async function throughput(bench: Bench): Promise<void> {
  const writer = await bench.startStatelens()
  const [small, large] = [createState(MB), createState(100 * MB)]
  const storedSmall = await upload(writer.origin, 'small', small)
  const storedLarge = await upload(writer.origin, 'large', large)
  // Another process than the one that captured: what that left in memory would hide what reading takes.
  const statelens = await bench.startStatelens()
  const raw = await bench.startRawProxy()
  const measured = async (key: string, { snapshotId }: Stored): Promise<WatchedSource[]> => [
    { name: 'raw proxy: GetObject, piped', url: `${raw.origin}/${await bench.keyOf(snapshotId)}`, server: raw },
    { ...graphqlSource(statelens, key), server: statelens },
    { ...getSource(statelens, { snapshotId }), server: statelens },
  ]
  for (const source of await measured('small', storedSmall)) await verify(source, small)
  const watches = new Map([
    [statelens, await watchMemory(statelens)],
    [raw, await watchMemory(raw)],
  ])
  const presigned = { name: 'presigned URL: the store itself', url: await sign(statelens, storedLarge) }
  const nginx = await startNginx(bench.session, bench.pin, large)
  if (nginx === null) note('nginx cannot be had here: its row is left out.')
  const file = nginx === null ? [] : [{ name: 'nginx, the same as a file', url: nginx }]
  const sources = [...(await measured('large', storedLarge)), presigned, ...file]
  for (const clients of CLIENTS) await compare(bench, sources, { clients, sizeBytes: large.sizeBytes, watches })
  for (const source of sources) await verify(source, large)
}

async function sign(server: ServerProcess, { snapshotId }: Stored): Promise<string> {
  const query = `{ snapshotById(snapshotId: "${snapshotId}") { signedUrl } }`
  return (await ask<{ snapshotById: { signedUrl: string } }>(server, query)).snapshotById.signedUrl
}

interface Comparison {
  readonly clients: number
  readonly sizeBytes: number
  readonly watches: ReadonlyMap<ServerProcess, MemoryWatch>
}

async function compare(bench: Bench, sources: readonly WatchedSource[], comparison: Comparison): Promise<void> {
  const figures: Figures[] = sources.map(() => ({ megabytesPerSecond: [], cpuSecondsPerGigabyte: [], growth: 0 }))
  for (let round = 0; round < bench.rounds; round++) {
    for (let turn = 0; turn < sources.length; turn++) {
      bench.session.throwIfOver()
      const place = (turn + round) % sources.length
      await fetchOnce(sources[place] as WatchedSource, figures[place] as Figures, comparison)
    }
  }
  printComparison(sources, figures, comparison.clients)
}

async function fetchOnce(source: WatchedSource, figures: Figures, comparison: Comparison): Promise<void> {
  const { clients, sizeBytes, watches } = comparison
  const fetchAll = async () => {
    const begin = performance.now()
    await Promise.all(Array.from({ length: clients }, () => download(source, { leastBytes: sizeBytes })))
    figures.megabytesPerSecond.push((clients * sizeBytes) / 1000 / (performance.now() - begin))
  }
  const watch = source.server && watches.get(source.server)
  if (!source.server || !watch) return await fetchAll()
  const before = await cpuSeconds(source.server.pid)
  const { growth } = await watch.during(fetchAll)
  const used = (await cpuSeconds(source.server.pid)) - before
  figures.cpuSecondsPerGigabyte.push((used * 1e9) / (clients * sizeBytes))
  figures.growth = Math.max(figures.growth, growth)
}

function printComparison(sources: readonly WatchedSource[], figures: readonly Figures[], clients: number): void {
  const who = clients === 1 ? 'one client' : `${clients} clients`
  const [base] = figures
  const ratioOf = ({ megabytesPerSecond }: Figures) => pairedRatio(megabytesPerSecond, base?.megabytesPerSecond ?? [])
  print(`**100 MB from S3, ${who}; throughput against the raw proxy = 1.00**`)
  print()
  printTable(
    ['way', 'ratio', 'MB/s', 'CPU s a GB', 'memory growth, MB'],
    sources.map(({ name, server }, i) => {
      const figure = figures[i] as Figures
      const cpu = server ? formatNumber(median(figure.cpuSecondsPerGigabyte)) : ''
      return [
        name,
        formatNumber(ratioOf(figure)),
        formatNumber(median(figure.megabytesPerSecond)),
        cpu,
        server ? formatNumber(figure.growth) : '',
      ]
    }),
  )
  const graphql = figures[1] as Figures
  printBars([
    { what: `100 MB through GraphQL against the raw proxy, ${who}`, value: ratioOf(graphql), atLeast: 0.85 },
    { what: `the same, memory growth, ${who}`, value: graphql.growth, unit: ' MB', atMost: 48 },
  ])
}

/** The first byte of 100 MB against that of 1 MB: what is streamed is as fast to begin whatever its size. */
export async function firstByte(bench: Bench): Promise<void> {
  const statelens = await bench.startStatelens()
  const raw = await bench.startRawProxy()
  const sizes = { small: createState(MB), large: createState(100 * MB) }
  const millis = new Map<string, number[]>()
  const sources: [string, Source, number][] = []
  for (const [key, state] of Object.entries(sizes)) {
    const { snapshotId } = await upload(statelens.origin, key, state)
    sources.push([`GraphQL ${key}`, graphqlSource(statelens, key), state.sizeBytes])
    sources.push([
      `raw ${key}`,
      { name: 'raw', url: `${raw.origin}/${await bench.keyOf(snapshotId)}` },
      state.sizeBytes,
    ])
  }
  for (let round = -2; round < bench.rounds * 2; round++) {
    for (const [name, source, leastBytes] of sources) {
      bench.session.throwIfOver()
      const { firstByteMillis } = await download(source, { leastBytes })
      if (round >= 0) millis.set(name, [...(millis.get(name) ?? []), firstByteMillis])
    }
  }
  const of = (name: string) => millis.get(name) ?? []
  print('**Milliseconds to the first byte, one client, past the cache**')
  print()
  printTable(
    ['way', '1 MB', '100 MB', 'ratio'],
    ['GraphQL', 'raw'].map((way) => [
      way === 'raw' ? 'raw proxy' : 'GraphQL payload',
      formatNumber(median(of(`${way} small`))),
      formatNumber(median(of(`${way} large`))),
      formatNumber(pairedRatio(of(`${way} large`), of(`${way} small`))),
    ]),
  )
  const value = pairedRatio(of('GraphQL large'), of('GraphQL small'))
  printBars([{ what: 'first byte, 100 MB against 1 MB', value, unit: ' ×', atMost: 1.5 }])
}

const ALIASES = 70
const OBJECTS = 10

/** 70 payloads of 20 MB in one answer. */
export async function aliases(bench: Bench): Promise<void> {
  const statelens = await bench.startStatelens()
  const state = createState(20 * MB)
  const ids: string[] = []
  for (let i = 0; i < OBJECTS; i++) ids.push((await upload(statelens.origin, `alias-${i}`, state)).snapshotId)
  // A new process: uploads have taken memory of their own.
  const fresh = await bench.startStatelens()
  const fields = Array.from(
    { length: ALIASES },
    (_, i) => `a${i}: snapshotById(snapshotId: "${ids[i % OBJECTS]}") { payload }`,
  )
  const body = JSON.stringify({ query: `{ ${fields.join(' ')} }` })
  const source = { name: `${ALIASES} aliases`, url: `${fresh.origin}/graphql`, body }
  const watch = await watchMemory(fresh)
  const { peak, growth, result } = await watch.during(() => download(source, { leastBytes: ALIASES * state.sizeBytes }))
  print(`**${ALIASES} payloads of 20 MB in one answer (${OBJECTS} objects, each ${ALIASES / OBJECTS} times)**`)
  print()
  printTable(
    ['peak, MB', 'growth, MB', 'seconds', 'MB/s'],
    [[peak, growth, result.seconds, result.sizeBytes / MB / result.seconds].map(formatNumber)],
  )
  printBars([{ what: '70 payloads of 20 MB in one answer: peak memory', value: peak, unit: ' MB', atMost: 256 }])
}
