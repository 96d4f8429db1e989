import { type Measured, printBarsOf } from './bars.ts'
import { startNginx } from './nginx.ts'
import type { PartContext } from './parts.ts'
import { ask, type Bench, getSource, graphqlSource, setUp, watchMemory } from './payload-setup.ts'
import type { ProbedServer, ServerProcess } from './processes.ts'
import { formatNumber, note, print, printTable } from './report.ts'
import { takeTurns } from './rounds.ts'
import { createState, type State } from './states.ts'
import { median, pairedRatio, ratios } from './statistics.ts'
import { download, type Source, type Stored, upload, verify } from './transfer.ts'
import { compareWays, cpuRatio, growthBars, headWays, nameSize, printWays, type Way, watchWays } from './ways.ts'

const MB = 1e6
const CLIENTS = [1, 8]

type Servers = Readonly<Record<'graphql' | 'get' | 'raw', ProbedServer>>

/** Large payloads out by every way, to one client and to eight. */
export async function throughput(context: PartContext): Promise<void> {
  const bench = await setUp(context)
  const { session, form } = bench
  const writer = await bench.startStatelens()
  const [small, large] = [createState(MB), createState(form.large)]
  const storedSmall = await upload(writer.origin, 'small', small)
  const storedLarge = await upload(writer.origin, 'large', large)
  // Other processes than the one that captured, one a way: what another way left in memory would hide what this one takes.
  const servers = {
    graphql: await bench.startStatelens(),
    get: await bench.startStatelens(),
    raw: await bench.startRawProxy(),
  }
  const found = async (key: string, stored: Stored) => sourcesOf(servers, key, { stored, bench })
  for (const source of Object.values(await found('small', storedSmall))) await verify(source, small)
  const sources = await found('large', storedLarge)
  const way = (key: keyof Servers): Way => ({
    key,
    name: sources[key].name,
    server: servers[key],
    transfer: () => download(sources[key], { leastBytes: large.sizeBytes }),
  })
  const others = await otherWays(bench, servers.get, { stored: storedLarge, state: large })
  const ways = await watchWays([way('raw'), way('graphql'), way('get'), ...others])
  for (const clients of CLIENTS) {
    const comparison = { session, clients, sizeBytes: large.sizeBytes, rounds: form.rounds }
    const figures = await compareWays(ways, comparison)
    headWays('Out of S3, against the raw proxy', comparison)
    printWays(figures, 'raw')
    const gains = (['graphql', 'get'] as const).map((key): Measured => {
      return { bar: `out.${key}.${clients}`, values: cpuRatio(figures, 'raw', key) }
    })
    printBarsOf('Bars', [...gains, ...growthBars(figures, 'large', clients)])
  }
  for (const source of Object.values(sources)) await verify(source, large)
}

async function sourcesOf(
  servers: Servers,
  key: string,
  { stored, bench }: { readonly stored: Stored; readonly bench: Bench },
): Promise<Readonly<Record<keyof Servers, Source>>> {
  const url = `${servers.raw.origin}/${await bench.keyOf(stored.snapshotId)}`
  return {
    raw: { name: 'raw proxy: GetObject, piped', url },
    graphql: graphqlSource(servers.graphql, key),
    get: getSource(servers.get, stored),
  }
}

/** What no server of Node stands between. */
async function otherWays(
  { session, pin }: Bench,
  server: ServerProcess,
  { stored, state }: { readonly stored: Stored; readonly state: State },
): Promise<Way[]> {
  const query = `{ snapshotById(snapshotId: "${stored.snapshotId}") { signedUrl } }`
  const { snapshotById } = await ask<{ snapshotById: { signedUrl: string } }>(server, query)
  const nginx = await startNginx(session, pin, state)
  if (nginx === null) note('nginx cannot be had here: its row is left out.')
  const urls = { 'presigned URL: the store itself': snapshotById.signedUrl, 'nginx, the same as a file': nginx }
  return Object.entries(urls).flatMap(([name, url]) => {
    if (url === null) return []
    const transfer = () => download({ name, url }, { leastBytes: state.sizeBytes })
    return [{ name, key: name, server: null, transfer }]
  })
}

/** The first byte of a large payload against that of 1 MB: what is streamed is as fast to begin whatever its size. */
export async function firstByte(context: PartContext): Promise<void> {
  const bench = await setUp(context)
  const { form, session } = bench
  const statelens = await bench.startStatelens()
  const raw = await bench.startRawProxy()
  const sizes = { small: createState(MB), large: createState(form.large) }
  const millis = new Map<string, number[]>()
  const sources: [string, Source, number][] = []
  for (const [key, state] of Object.entries(sizes)) {
    const { snapshotId } = await upload(statelens.origin, key, state)
    sources.push([`GraphQL ${key}`, graphqlSource(statelens, key), state.sizeBytes])
    const url = `${raw.origin}/${await bench.keyOf(snapshotId)}`
    sources.push([`raw ${key}`, { name: 'raw', url }, state.sizeBytes])
  }
  await takeTurns(sources, { rounds: form.rounds * 2, warmUps: 2 }, async ([name, source, leastBytes], round) => {
    session.throwIfOver()
    const { firstByteMillis } = await download(source, { leastBytes })
    if (round >= 0) millis.set(name, [...(millis.get(name) ?? []), firstByteMillis])
  })
  const of = (name: string) => millis.get(name) ?? []
  print('**Milliseconds to the first byte, one client, past the cache**')
  print()
  printTable(
    ['way', '1 MB', nameSize(form.large), 'ratio'],
    ['GraphQL', 'raw'].map((way) => [
      way === 'raw' ? 'raw proxy' : 'GraphQL payload',
      formatNumber(median(of(`${way} small`))),
      formatNumber(median(of(`${way} large`))),
      formatNumber(pairedRatio(of(`${way} large`), of(`${way} small`))),
    ]),
  )
  printBarsOf('Bars', [{ bar: 'ttfb', values: ratios(of('GraphQL large'), of('GraphQL small')) }])
}

const ALIASES = 70
const OBJECTS = 10
/** An answer of 1.4 GB takes a while, and a new process a round shows whether it is the same again. */
const ALIAS_ROUNDS = 3

/** 70 payloads in one answer. */
export async function aliases(context: PartContext): Promise<void> {
  const bench = await setUp(context)
  const writer = await bench.startStatelens()
  const [small, state] = [createState(MB), createState(bench.form.alias)]
  await upload(writer.origin, 'small', small)
  const ids: string[] = []
  for (let i = 0; i < OBJECTS; i++) ids.push((await upload(writer.origin, `alias-${i}`, state)).snapshotId)
  const fields = Array.from(
    { length: ALIASES },
    (_, i) => `a${i}: snapshotById(snapshotId: "${ids[i % OBJECTS]}") { payload }`,
  )
  const body = JSON.stringify({ query: `{ ${fields.join(' ')} }` })
  const rounds: { readonly peak: number; readonly growth: number; readonly megabytesPerSecond: number }[] = []
  for (let round = 0; round < ALIAS_ROUNDS; round++) {
    const server = await bench.startStatelens()
    await verify(graphqlSource(server, 'small'), small)
    const source = { name: `${ALIASES} aliases`, url: `${server.origin}/graphql`, body }
    const { peak, growth, result } = await (await watchMemory(server)).during(() =>
      download(source, { leastBytes: ALIASES * state.sizeBytes }),
    )
    rounds.push({ peak, growth, megabytesPerSecond: result.sizeBytes / MB / result.seconds })
  }
  print(`**${ALIASES} payloads of ${nameSize(state.sizeBytes)} in one answer (${OBJECTS} objects in turn)**`)
  print()
  const growths = rounds.map(({ growth }) => growth)
  printTable(
    ['memory growth, MB', 'peak, MB', 'MB/s'],
    [
      [
        median(growths),
        median(rounds.map(({ peak }) => peak)),
        median(rounds.map(({ megabytesPerSecond }) => megabytesPerSecond)),
      ].map(formatNumber),
    ],
  )
  printBarsOf('Bars', [{ bar: 'aliases.growth', values: growths }])
}
