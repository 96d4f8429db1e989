import { type ChildProcess, fork } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { createWriteStream } from 'node:fs'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { setTimeout as delay } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { ListMultipartUploadsCommand, ListObjectsV2Command, S3Client } from '@aws-sdk/client-s3'
import { isUnavailable } from '../test/support/describe-with.ts'
import { s3Env } from '../test/support/objects.ts'
import { countRows } from '../test/support/rows.ts'
import { type S3Service, s3 } from '../test/support/services.ts'
import { startServices, stopServices } from '../test/support/start-services.ts'
import { sweepOnce } from '../test/support/store.ts'
import { printBars } from './lib/bars.ts'
import { startDatabase } from './lib/database.ts'
import { getSource, watchMemory } from './lib/payload-setup.ts'
import { type ServerProcess, startServer } from './lib/processes.ts'
import { describeMachine, endPart, formatNumber, note, print, printTable } from './lib/report.ts'
import { type Session, withSession } from './lib/session.ts'
import { createState, type State } from './lib/states.ts'
import { verify } from './lib/transfer.ts'
import type { UploadNews, UploadOrder } from './lib/upload-client.ts'

/*
 * Direct upload of 1 GiB to S3 by `statelens/client`: `npm run bench:upload`, or less by `-- --mib 256`. Once it is killed half-way
 * and swept up, once it is stored: how far server and client grow, whether the bytes are the same, and what is left over.
 */
const MIB = 2 ** 20
const MB = 1e6
/** In parts already, as the whole is. */
const SMALLER_BYTES = 128 * MIB
const TICKET_SECONDS = 30

interface Source {
  readonly state: State
  readonly path: string
}

interface Bench {
  readonly session: Session
  readonly service: S3Service
  readonly databaseUrl: string
  /** For what a process takes with its first upload. */
  readonly warm: Source
  /** What a larger one must not need much more than. */
  readonly smaller: Source
  readonly whole: Source
  startStatelens(): Promise<ServerProcess>
}

const { values } = parseArgs({
  options: { mib: { type: 'string', default: '1024' }, write: { type: 'boolean', default: false } },
})

await withSession(async (session) => {
  const bench = await setUp(session, Number(values.mib) * MIB)
  print(await describeMachine([`${values.mib} MiB of JSON`]))
  print()
  await killHalfWay(bench)
  await uploadWhole(bench)
  await endPart('upload', values)
})

async function setUp(session: Session, sizeBytes: number): Promise<Bench> {
  note('Starting PostgreSQL and the S3 server …')
  await startServices()
  await session.defer(stopServices)
  const service = await s3()
  if (isUnavailable(service)) throw new Error(service.unavailable)
  const databaseUrl = await startDatabase(session)
  note(`Writing ${sizeBytes / MIB} MiB …`)
  const folder = await session.folder()
  const write = async (bytes: number): Promise<Source> => {
    const state = createState(bytes)
    const path = join(folder, `${bytes}.json`)
    await pipeline(Readable.from(state.chunks()), createWriteStream(path))
    return { state, path }
  }
  const sources = { warm: await write(2 * MIB), smaller: await write(SMALLER_BYTES), whole: await write(sizeBytes) }
  const env = { DATABASE_URL: databaseUrl, PORT: '0', ...s3Env(service), S3_FORCE_PATH_STYLE: 'true' }
  const startStatelens = async () => {
    const options = { name: 'statelens', args: ['src/main.ts', 'serve'] }
    return await startServer(session, [], { ...options, env: { ...env, DATA_DIR: await session.folder() } })
  }
  return { session, service, databaseUrl, ...sources, startStatelens }
}

/** A producer that has not begun yet. It ends with the session, or before. */
async function startProducer({ session }: Bench) {
  const child = fork(join(import.meta.dirname, 'lib', 'upload-client.ts'), { execArgv: [] })
  await session.defer(async () => child.kill('SIGKILL'))
  await news(child, 'ready')
  return { child, pid: child.pid ?? 0, order: (order: UploadOrder) => child.send(order) }
}

/** The next news of a kind for which the check holds. @throws Error when the producer ends before. */
async function news<What extends UploadNews['what']>(
  child: ChildProcess,
  what: What,
  isEnough: (news: UploadNews & { what: What }) => boolean = () => true,
): Promise<UploadNews & { what: What }> {
  const found = Promise.withResolvers<UploadNews & { what: What }>()
  const read = (told: UploadNews & { what: What }) => told.what === what && isEnough(told) && found.resolve(told)
  const end = () => found.reject(new Error('The producer ended'))
  child.on('message', read).once('exit', end)
  try {
    return await found.promise
  } finally {
    child.off('message', read).off('exit', end)
  }
}

/** What the store and the tables hold of one snapshot. */
async function listLeft({ service, databaseUrl }: Bench, snapshotId: string): Promise<readonly string[]> {
  const { endpoint, region, bucket, accessKey, secretKey } = service
  const credentials = { accessKeyId: accessKey, secretAccessKey: secretKey }
  const client = new S3Client({ endpoint, region, forcePathStyle: true, credentials })
  try {
    const listed = await client.send(new ListObjectsV2Command({ Bucket: bucket, Prefix: 'snapshots/' }))
    const begun = await client.send(new ListMultipartUploadsCommand({ Bucket: bucket, Prefix: 'snapshots/' }))
    const of = (found: readonly { readonly Key?: string | undefined }[] = []) =>
      found.filter(({ Key }) => Key?.includes(snapshotId)).length
    const rows = async (table: string) => await countRows(databaseUrl, `${table} where snapshot_id = '${snapshotId}'`)
    const tables = [await rows('statelens_objects'), await rows('statelens_uploads')]
    return [of(listed.Contents), of(begun.Uploads), ...tables].map(String)
  } finally {
    client.destroy()
  }
}

async function killHalfWay(bench: Bench): Promise<void> {
  note('Upload, killed half-way …')
  const server = await bench.startStatelens()
  const { child, order } = await startProducer(bench)
  const snapshotId = randomUUID()
  order({ url: server.origin, path: bench.whole.path, snapshotId, ticketSeconds: TICKET_SECONDS })
  await news(child, 'sent', ({ sentBytes }) => sentBytes >= bench.whole.state.sizeBytes / 2)
  child.kill('SIGKILL')
  await once(child, 'exit')
  const killed = await listLeft(bench, snapshotId)
  note('Waiting for the end of its ticket, and sweeping …')
  const end = performance.now() + (TICKET_SECONDS + 30) * 1000
  let swept = killed
  while (swept.some((count) => count !== '0') && performance.now() < end) {
    bench.session.throwIfOver()
    await delay(1000)
    await sweepOnce({ databaseUrl: bench.databaseUrl, storagePath: '', s3: bench.service })
    swept = await listLeft(bench, snapshotId)
  }
  print('**The producer is killed half-way: what is left**')
  print()
  printTable(
    ['when', 'objects', 'multipart uploads', 'rows of objects', 'rows of uploads'],
    [
      ['when it was killed', ...killed],
      ['after its ticket and a sweep', ...swept],
    ],
  )
  printBars([{ bar: 'upload.left', values: [swept.reduce((sum, count) => sum + Number(count), 0)] }])
}

async function uploadWhole(bench: Bench): Promise<void> {
  // New processes: what the first upload took would hide what these take.
  const server = await bench.startStatelens()
  const producer = await startProducer(bench)
  const upload = async ({ path, state }: Source) => {
    const order = { url: server.origin, path, snapshotId: randomUUID(), ticketSeconds: 3600 }
    const stored = news(producer.child, 'stored')
    producer.order(order)
    const { digest, seconds } = await stored
    if (digest !== state.digest) throw new Error('Something else was stored')
    return { order, seconds }
  }
  await upload(bench.warm)
  const watches = [await watchMemory(server), await watchMemory({ ...server, pid: producer.pid })] as const
  const measured: { readonly sizeBytes: number; readonly seconds: number; readonly growths: readonly number[] }[] = []
  for (const source of [bench.smaller, bench.whole]) {
    const { sizeBytes } = source.state
    note(`Upload of ${sizeBytes / MIB} MiB …`)
    const uploading = upload(source)
    const [atServer, atClient] = await Promise.all(watches.map((watch) => watch.during(() => uploading)))
    const { order, seconds } = await uploading
    measured.push({ sizeBytes, seconds, growths: [atServer?.growth ?? Number.NaN, atClient?.growth ?? Number.NaN] })
    // Between the two: reading is not what is measured.
    await verify(getSource(server, order), source.state)
  }
  producer.child.disconnect()
  print('**Direct upload: SHA-256 before, JSON and SHA-256 once more at the commit, and SHA-256 of what GET gives**')
  print()
  printTable(
    ['MiB', 's', 'MB/s', 'server grows by MB', 'client grows by MB', 'digest'],
    measured.map(({ sizeBytes, seconds, growths }) => [
      formatNumber(sizeBytes / MIB),
      ...[seconds, sizeBytes / MB / seconds, ...growths].map(formatNumber),
      'the same',
    ]),
  )
  const [smaller, whole] = measured
  printBars(
    ['server', 'client'].map((name, index) => ({
      bar: `upload.growth.${name}`,
      values: [Math.max(0, (whole?.growths[index] ?? Number.NaN) - (smaller?.growths[index] ?? Number.NaN))],
    })),
  )
}
