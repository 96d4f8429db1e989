import { bodyOf, proveEqual } from './answers.ts'
import { printBarsOf } from './bars.ts'
import { graphqlRequest, pacedLoad } from './load.ts'
import type { PartContext } from './parts.ts'
import { getSource, watchMemory } from './payload-setup.ts'
import { cpuSeconds, type HeldLoop, type ProbedServer, startServer } from './processes.ts'
import { QUERIES } from './queries.ts'
import { formatNumber, note, print, printTable } from './report.ts'
import { createState } from './states.ts'
import { createRandom, median, quantile, ratios } from './statistics.ts'
import { readStreams } from './stream-readers.ts'
import { type Source, upload, verify } from './transfer.ts'

const MB = 1e6
const STREAMS = 64
const STREAM_BYTES = 20 * MB
/** Different states: a cache that holds one of them would not hold the others. */
const STATES = 8
const REQUESTS_PER_SECOND = 200
/** Enough that questions do not wait for a connection. */
const CONNECTIONS = 256
const QUICK_SECONDS = 2
const SECONDS = 8
/** Of 50 questions in turn: as many of each as a viewer asks, and two of the large ones. */
const MIXTURE = Array.from({ length: 50 }, (_, place) => ['Q1', 'Q2'][place % 2] ?? '')
MIXTURE[24] = 'Q3'
MIXTURE[49] = 'Q4'

interface Work {
  readonly questions: boolean
  readonly streams: boolean
}

interface Figures {
  readonly cpuSeconds: number
  readonly answers: readonly { readonly kind: string; readonly millis: number }[]
  readonly streamedBytes: number
  readonly seconds: number
  readonly loop: HeldLoop
  readonly growth: number
}

const WORKS: Readonly<Record<string, Work>> = {
  'questions alone': { questions: true, streams: false },
  'streams alone': { questions: false, streams: true },
  'both at once': { questions: true, streams: true },
}

/** Small questions at a steady pace while 64 readers take 20 MB each, again and again, as fast as they can. */
export async function mixedLoad(context: PartContext): Promise<void> {
  const { session, shared, form, pin } = context
  const store = await shared.seededStore()
  const env = { ...store.env, PORT: '0', DATA_DIR: await session.folder() }
  const args = ['src/main.ts', 'serve']
  const writer = await startServer(session, pin, { name: 'statelens', args, env })
  const state = createState(STREAM_BYTES)
  const ids: string[] = []
  for (let place = 0; place < STATES; place++) {
    ids.push((await upload(writer.origin, `mixed-${place}`, state)).snapshotId)
  }
  const server = await startServer(session, pin, { name: 'statelens', args, env, isProbed: true })
  const answering = { ...server, dialect: 'statelens', keepsBytes: true } as const
  const shortest = await proveEqual([answering], QUERIES, { url: store.url, runs: form.runs })
  const sources = ids.map((snapshotId) => getSource(server, { snapshotId }))
  for (const source of sources) await verify(source, state)
  const { during } = await watchMemory(server)
  const leastBytes = Math.min(...shortest.values()) * 0.9
  const found: Record<string, Figures[]> = { 'questions alone': [], 'streams alone': [], 'both at once': [] }
  const seconds = form.isQuick ? QUICK_SECONDS : SECONDS
  for (let round = -1; round < form.rounds; round++) {
    for (const [name, work] of Object.entries(WORKS)) {
      session.throwIfOver()
      const doWork = () => measure(server, work, { sources, seconds, leastBytes, runs: form.runs, seed: round + 2 })
      const { result, growth } = await during(doWork)
      if (round >= 0) found[name]?.push({ ...result, growth })
    }
    note(round < 0 ? 'Warmed up.' : `Round ${round + 1} of ${form.rounds} is done.`)
  }
  printFigures(found)
}

interface Measuring {
  readonly sources: readonly Source[]
  readonly seconds: number
  readonly leastBytes: number
  readonly runs: number
  readonly seed: number
}

async function measure(
  server: ProbedServer,
  { questions, streams }: Work,
  { sources, seconds, leastBytes, runs, seed }: Measuring,
): Promise<Omit<Figures, 'growth'>> {
  await server.heldLoop()
  const before = await cpuSeconds(server.pid)
  const begin = performance.now()
  const asking = questions ? askQuestions(server, { seconds, leastBytes, runs, seed }) : []
  const readers = streams ? readStreams({ sources, readers: STREAMS, leastBytes: STREAM_BYTES, seconds }) : 0
  const [answers, streamedBytes] = await Promise.all([asking, readers])
  return {
    answers,
    streamedBytes,
    seconds: (performance.now() - begin) / 1000,
    cpuSeconds: (await cpuSeconds(server.pid)) - before,
    loop: await server.heldLoop(),
  }
}

async function askQuestions(
  { origin }: ProbedServer,
  { seconds, leastBytes, runs, seed }: Omit<Measuring, 'sources'>,
): Promise<Figures['answers']> {
  const random = createRandom(seed)
  let asked = 0
  return await pacedLoad({
    origin,
    seconds,
    leastBytes,
    connections: CONNECTIONS,
    requestsPerSecond: REQUESTS_PER_SECOND,
    next() {
      const kind = MIXTURE[asked++ % MIXTURE.length] ?? ''
      const query = QUERIES.find(({ name }) => name === kind)
      if (!query) throw new Error(`No query ${kind}`)
      return { kind, request: graphqlRequest(bodyOf(query, 'statelens', query.variables(random, runs))) }
    },
  })
}

function printFigures(found: Readonly<Record<string, readonly Figures[]>>): void {
  const of = (name: string, figure: (figures: Figures) => number) => (found[name] ?? []).map(figure)
  const shown = (name: string, figure: (figures: Figures) => number) => formatNumber(median(of(name, figure)))
  const share = (kind: string, part: number) => (figures: Figures) =>
    quantile(
      figures.answers.filter((answer) => kind === 'all' || answer.kind === kind).map(({ millis }) => millis),
      part,
    )
  print(
    `${REQUESTS_PER_SECOND} questions a second (mostly Q1 and Q2, four of Q3 and of Q4 each), ${STREAMS} readers of ${STREAM_BYTES / MB} MB from a folder by GET.`,
  )
  print()
  printTable(
    ['work', 'MB/s', 'server CPU, %', 'loop held at most, ms', 'loop p99, ms', 'memory growth, MB'],
    Object.keys(WORKS).map((name) => [
      name,
      shown(name, ({ streamedBytes, seconds }) => streamedBytes / MB / seconds),
      shown(name, (figures) => (100 * figures.cpuSeconds) / figures.seconds),
      shown(name, ({ loop }) => loop.max),
      shown(name, ({ loop }) => loop.p99),
      shown(name, ({ growth }) => growth),
    ]),
  )
  const [alone = '', , both = ''] = Object.keys(WORKS)
  printTable(
    ['milliseconds to a whole answer', 'median alone', 'p99 alone', 'median beside streams', 'p99 beside streams'],
    ['all', 'Q1', 'Q2', 'Q3', 'Q4'].map((kind) => [
      kind,
      ...[alone, both].flatMap((name) => [shown(name, share(kind, 0.5)), shown(name, share(kind, 0.99))]),
    ]),
  )
  const late = (name: string) => of(name, share('all', 0.99))
  printBarsOf('Bars', [
    { bar: 'mixed.cpu', values: togetherAgainstApart(found) },
    { bar: 'mixed.p99', values: ratios(late(both), late(alone)) },
  ])
}

/** What both took at once, against what the questions and as many bytes of streams took alone. */
function togetherAgainstApart(found: Readonly<Record<string, readonly Figures[]>>): number[] {
  const { 'questions alone': questions = [], 'streams alone': streams = [], 'both at once': both = [] } = found
  return both.map(({ cpuSeconds: together, streamedBytes }, round) => {
    const ofStreams = streams[round]
    const perByte = ofStreams ? ofStreams.cpuSeconds / ofStreams.streamedBytes : Number.NaN
    return together / ((questions[round]?.cpuSeconds ?? Number.NaN) + perByte * streamedBytes)
  })
}
