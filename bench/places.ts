import { parseArgs } from 'node:util'
import { startCountingProxy } from '../test/support/counting-proxy.ts'
import { s3Env } from '../test/support/objects.ts'
import { put, storedOf } from '../test/support/put.ts'
import { printBars } from './lib/bars.ts'
import { startDatabase, withClient } from './lib/database.ts'
import { KEY_LOOKS_HEAD, lookForKeys } from './lib/key-looks.ts'
import { byJq, byJsonb, byParsing, byServer, type PartWay, type Subject, type Taken } from './lib/part-ways.ts'
import { divideCores, startServer } from './lib/processes.ts'
import { describeMachine, endPart, formatNumber, note, print, printTable } from './lib/report.ts'
import { withSession } from './lib/session.ts'
import { createShared } from './lib/shared.ts'
import { createState } from './lib/states.ts'
import { median } from './lib/statistics.ts'

/*
 * One message in the middle of a large state: `npm run bench:parts`, or of other sizes by `-- --mb 24,100 --rounds 5`. What the server
 * reads for it, how long it takes and how far it grows, beside the ways to it that need all of the state. Then keys of an object of
 * ten million, or of as many as `--keys 1000000` says; `--mb none` or `--keys none` leaves one of the two out.
 */
const MB = 1e6
/** `JSON.parse` takes no text of more, and jsonb no value. */
const TEXT_MAX_BYTES = 500 * MB
const JSONB_MAX_BYTES = 200 * MB
/** Its stream takes half a second a MB. */
const JQ_MAX_BYTES = 50 * MB

const { values } = parseArgs({
  options: {
    mb: { type: 'string', default: '24,100,1074' },
    keys: { type: 'string', default: '10000000' },
    rounds: { type: 'string', default: '3' },
    write: { type: 'boolean', default: false },
  },
})
const rounds = Number(values.rounds)
const numbersOf = (list: string) => (list === 'none' ? [] : list.split(',').map(Number))

/** The same places for every way: one in the middle, and others around it. */
const placeOf = (messages: number, round: number) => Math.floor(messages / 2) + 17 * round

async function measure(ways: readonly PartWay[], messages: number): Promise<Map<PartWay, Taken[]>> {
  const taken = new Map(ways.map((way) => [way, [] as Taken[]]))
  for (let round = 0; round < rounds; round++) {
    const index = placeOf(messages, round)
    const found: string[] = []
    for (const way of ways) {
      const one = await way.take(index)
      found.push(JSON.stringify(JSON.parse(one.found), sorted))
      taken.get(way)?.push(one)
    }
    const other = found.findIndex((text) => text !== found[0])
    if (other > 0) throw new Error(`${ways[other]?.name} found ${found[other]} at ${index}, and not ${found[0]}`)
  }
  return taken
}

/** jsonb has an order of its own. */
function sorted(_key: string, value: unknown): unknown {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return value
  return Object.fromEntries(Object.entries(value).toSorted(([a], [b]) => (a < b ? -1 : 1)))
}

function rowOf(size: string, { name }: PartWay, taken: readonly Taken[]): string[] {
  const of = (pick: (one: Taken) => number) => median(taken.map(pick))
  return [
    size,
    name,
    formatNumber(of(({ bytes }) => bytes / MB)),
    formatNumber(of(({ reads }) => reads)),
    formatNumber(of(({ millis }) => millis)),
    formatNumber(of(({ megabytes }) => megabytes)),
  ]
}

await withSession(async (session) => {
  const pin = await divideCores()
  const shared = createShared(session, { runs: 0 })
  const store = await shared.s3()
  const proxy = await startCountingProxy(store.endpoint)
  await session.defer(async () => await proxy[Symbol.asyncDispose]())
  const databaseUrl = await startDatabase(session)
  const server = await startServer(session, pin, {
    name: 'statelens',
    args: ['src/main.ts', 'serve'],
    isProbed: true,
    env: {
      PORT: '0',
      DATABASE_URL: databaseUrl,
      ...s3Env({ ...store, endpoint: proxy.endpoint }),
      S3_FORCE_PATH_STYLE: 'true',
      DATA_DIR: await session.folder(),
    },
  })
  const rows: string[][] = []
  const ours: Taken[] = []
  for (const size of numbersOf(values.mb)) {
    note(`A state of ${size} MB …`)
    const { chunks, sizeBytes } = createState(size * MB)
    const { snapshotId } = storedOf(await put(server.origin, chunks(), { stepId: `${size}` }))
    const subject: Subject = { server, snapshotId, sizeBytes, reads: proxy.reads }
    const ways = [byServer(subject)]
    if (sizeBytes < JQ_MAX_BYTES) ways.push(byJq(subject))
    if (sizeBytes < TEXT_MAX_BYTES) ways.push(byParsing(subject))
    if (sizeBytes < JSONB_MAX_BYTES) {
      await fillColumn(databaseUrl, Buffer.concat([...chunks()]))
      ways.push(byJsonb(databaseUrl, sizeBytes))
    }
    // Once for whoever has code to load and to compile.
    for (const way of ways) await way.take(1)
    const taken = await measure(ways, Math.floor(sizeBytes / 700))
    for (const [way, all] of taken) rows.push(rowOf(`${size} MB`, way, all))
    ours.push(...(taken.get(ways[0] as PartWay) ?? []))
  }
  const keys: string[][] = []
  for (const count of numbersOf(values.keys)) {
    note(`An object of ${count} keys …`)
    keys.push(...(await lookForKeys({ server, count, reads: proxy.reads })))
  }
  print(await describeMachine([`${rounds} rounds`]))
  print()
  if (keys.length > 0) {
    printTable(KEY_LOOKS_HEAD, keys)
    print()
  }
  if (ours.length === 0) return
  printTable(['state', 'way to one message in its middle', 'MB read', 'reads', 'ms', 'MB of memory'], rows)
  printBars([
    { bar: 'parts.reads', values: [Math.max(...ours.map(({ reads }) => reads))] },
    { bar: 'parts.bytes', values: [Math.max(...ours.map(({ bytes }) => bytes / 2 ** 20))] },
    { bar: 'parts.memory', values: [Math.max(...ours.map(({ megabytes }) => megabytes))] },
  ])
  await endPart('parts', values)
})

async function fillColumn(url: string, state: Buffer): Promise<void> {
  await withClient(url, async (client) => {
    await client.query('create table if not exists bench_states (state jsonb)')
    await client.query('truncate bench_states')
    await client.query('insert into bench_states values ($1::jsonb)', [state.toString('utf8')])
    await client.query('vacuum analyze bench_states')
  })
}
