import { printBarsOf } from './bars.ts'
import type { PartContext } from './parts.ts'
import { ask, type Bench, getSource, graphqlSource, setUp, type Where } from './payload-setup.ts'
import type { ProbedServer } from './processes.ts'
import { note, print } from './report.ts'
import { createState, type State } from './states.ts'
import { type Stored, upload, uploadRaw, verify } from './transfer.ts'
import {
  compareWays,
  cpuRatio,
  type Figures,
  growthBars,
  headWays,
  nameSize,
  printWays,
  type WatchedWay,
  type Way,
  watchWays,
} from './ways.ts'

const MB = 1e6
const CLIENTS = [1, 8]
/** What is stored at once in the S3 server of the tests, which keeps it in memory. */
const STORE_ROOM_BYTES = 2 ** 31

/** Captures by PUT with a known length, beside a pipe that hashes, and one that hashes and validates. */
export async function capturesByPut(context: PartContext): Promise<void> {
  const bench = await setUp(context)
  const { session, form } = bench
  const [small, large] = [createState(MB), createState(form.large)]
  const before = form.before
  const makeWays = async (state: State) => [
    ...servers.raw.map(({ server, to, how, name, key }) => rawWay(server, state, { to, how, name, key })),
    putWay({ key: 'put.s3', name: 'PUT to S3' }, servers.s3, state),
    ...(servers.before ? [putWay({ key: 'put.before', name: 'PUT to S3, before' }, servers.before, state)] : []),
    putWay({ key: 'put.folder', name: 'PUT to a folder' }, servers.folder, state),
  ]
  const servers = {
    raw: await startRawWays(bench),
    s3: await bench.startStatelens(),
    folder: await bench.startStatelens({ to: 'folder' }),
    before: before === null ? null : await bench.startStatelens({ checkout: before }),
  }
  // What each does for the first time is not what is measured.
  for (const way of await makeWays(small)) await warmUp(way)
  const ways = await watchWays(await makeWays(large))
  for (const clients of CLIENTS) {
    const comparison = { session, clients, sizeBytes: large.sizeBytes, rounds: form.rounds }
    const figures = await compareWays(ways, comparison)
    headWays('In by PUT, against the pipe with SHA-256 and the same scan', comparison)
    printWays(figures, 'raw.scan')
    const one = clients === 1
    printBarsOf('Bars', [
      ...(one ? [{ bar: 'in.put.limit', values: cpuRatio(figures, 'put.s3', 'raw.scan') }] : []),
      ...(one && before !== null ? [{ bar: 'in.put.before', values: cpuRatio(figures, 'put.s3', 'put.before') }] : []),
      ...growthBars(figures, 'large', clients),
    ])
  }
}

interface RawWay {
  readonly name: string
  readonly key: string
  readonly to: 's3' | 'folder'
  readonly how: 'hash' | 'scan'
}

const RAW_WAYS: readonly RawWay[] = [
  { key: 'raw.hash', name: 'hand-written pipe to S3, SHA-256', to: 's3', how: 'hash' },
  { key: 'raw.scan', name: 'hand-written pipe to S3, SHA-256 and scan', to: 's3', how: 'scan' },
  { key: 'raw.folder', name: 'hand-written pipe to a folder, SHA-256 and scan', to: 'folder', how: 'scan' },
]

async function startRawWays(bench: Bench): Promise<(RawWay & { readonly server: ProbedServer })[]> {
  const started: (RawWay & { readonly server: ProbedServer })[] = []
  for (const way of RAW_WAYS) started.push({ ...way, server: await bench.startRawPut() })
  return started
}

function rawWay(server: ProbedServer, state: State, { key, name, to, how }: RawWay): Way {
  const stored: string[] = []
  return {
    key,
    name,
    server,
    transfer: async () => stored.push((await uploadRaw(`${server.origin}/${to}/${how}`, state)).key),
    async cleanUp() {
      for (const object of stored.splice(0)) await fetch(`${server.origin}/${to}/${object}`, { method: 'DELETE' })
    },
  }
}

function putWay({ key, name }: Pick<Way, 'key' | 'name'>, server: ProbedServer, state: State): Way {
  const stored: Stored[] = []
  return {
    key,
    name,
    server,
    transfer: async () => stored.push(await upload(server.origin, key, state)),
    async cleanUp() {
      for (const { snapshotId } of stored.splice(0)) {
        await ask(server, `mutation { deleteSnapshot(snapshotId: "${snapshotId}") { deleted } }`)
      }
    },
  }
}

async function warmUp(way: Way): Promise<void> {
  for (let turn = 0; turn < 2; turn++) await way.transfer()
  await way.cleanUp?.()
}

/** 1 GiB in and out by every way, by one client and by eight: how far a process grows, what it costs, and whether the bytes are the same. */
export async function gibibyte(context: PartContext): Promise<void> {
  const bench = await setUp(context)
  const { form } = bench
  note('Making the states …')
  const whole = createState(form.huge)
  // Eight at once are smaller on their way in to S3, or the store of the tests would be full.
  const part = createState(Math.min(form.huge, STORE_ROOM_BYTES / 8))
  const writer = await bench.startStatelens()
  const stored = await upload(writer.origin, 'huge', whole)
  await upload(writer.origin, 'warm', createState(MB))
  for (const clients of CLIENTS) {
    const inS3 = clients === 1 ? whole : part
    const rounds: Map<Way, Figures>[] = []
    // Few rounds, as one moves up to 32 GiB.
    for (let round = 0; round < (form.isQuick ? 1 : 3); round++) {
      // Each way has a process of its own, and it is new: what one leaves in memory, or gives back, would hide what the next one takes.
      const ways = [
        () =>
          verifyWay(bench, { key: 'graphql', name: 'out through GraphQL' }, (server) =>
            verify(graphqlSource(server, 'huge'), whole),
          ),
        () =>
          verifyWay(bench, { key: 'get', name: 'out by GET' }, (server) => verify(getSource(server, stored), whole)),
        () => uploadWay(bench, { key: 'put.s3', name: 'in by PUT to S3' }, { state: inS3, where: { to: 's3' } }),
        () =>
          uploadWay(
            bench,
            { key: 'put.folder', name: 'in by PUT to a folder' },
            { state: whole, where: { to: 'folder' } },
          ),
      ]
      const figures = new Map<Way, Figures>()
      for (const startWay of ways) {
        const way = await startWay()
        const { sizeBytes } = way.key === 'put.s3' ? inS3 : whole
        const comparison = { session: bench.session, clients, sizeBytes, rounds: 1 }
        for (const [key, found] of await compareWays([way], comparison)) figures.set(key, found)
      }
      rounds.push(figures)
    }
    const all = joinRounds(rounds)
    headWays('In and out, the bytes compared by SHA-256', { clients, sizeBytes: whole.sizeBytes })
    printWays(all, 'get')
    if (inS3.sizeBytes < whole.sizeBytes) print(`To S3: ${clients} of ${nameSize(inS3.sizeBytes)} each.\n`)
    printBarsOf('Bars', growthBars(all, 'huge', clients))
  }
}

async function verifyWay(
  bench: Bench,
  names: Pick<Way, 'key' | 'name'>,
  transfer: (server: ProbedServer) => Promise<void>,
): Promise<WatchedWay> {
  const server = await bench.startStatelens()
  await verify(graphqlSource(server, 'warm'), createState(MB))
  const [way] = await watchWays([{ ...names, server, transfer: () => transfer(server) }])
  if (!way) throw new Error('One way is watched')
  return way
}

async function uploadWay(
  bench: Bench,
  names: Pick<Way, 'key' | 'name'>,
  { state, where }: { readonly state: State; readonly where: Where },
): Promise<WatchedWay> {
  const server = await bench.startStatelens(where)
  await warmUp(putWay(names, server, createState(MB)))
  const [way] = await watchWays([putWay(names, server, state)])
  if (!way) throw new Error('One way is watched')
  return way
}

/** The figures of one way in every round. */
function joinRounds(rounds: readonly ReadonlyMap<Way, Figures>[]): Map<Way, Figures> {
  const joined = new Map<Way, Figures>()
  for (const [way] of rounds[0] ?? []) {
    const found = rounds.flatMap((figures) => [...figures].filter(([{ key }]) => key === way.key).map(([, one]) => one))
    joined.set(way, {
      megabytesPerSecond: found.flatMap((one) => one.megabytesPerSecond),
      cpuSecondsPerGigabyte: found.flatMap((one) => one.cpuSecondsPerGigabyte),
      growth: found.flatMap((one) => one.growth),
    })
  }
  return joined
}
