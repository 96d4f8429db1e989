import { readFile } from 'node:fs/promises'
import { setTimeout as delay } from 'node:timers/promises'
import { readSlowly } from '../../test/support/slow-reader.ts'
import { type Bar, codesOf, isRight, mib, type Row } from './bar.ts'
import { openSite } from './site.ts'

const MIB = 2 ** 20
const GROWTH_MIB = { large: 256, one: 27, stalled: 100 }
const STALLED_SECONDS = 21
const DESCRIPTORS = 5
const SETTLE_MS = 5000

/** Many large states at once. */
const large: Bar = {
  name: 'L1',
  needsQuiet: false,
  async run({ isShort }) {
    const [count, sizeBytes] = isShort ? [32, 16 * MIB] : [128, 64 * MIB]
    await using site = await openSite({ env: { PAYLOAD_STREAMS_MAX: '128' } })
    const { path, sha256 } = await site.store(1, sizeBytes)
    const question = { kind: 'stream', method: 'GET', path, sha256 } as const
    await site.load({ questions: [question], parallel: 1, count: 1 })
    const { mib: grown, result } = await site.growth(() => site.load({ questions: [question], parallel: count, count }))
    const right = result.filter(isRight).length
    return [
      {
        bar: 'L1',
        what: `${count} streams of ${sizeBytes / MIB} MiB from S3 at once`,
        limit: `all right, memory + ≤ ${GROWTH_MIB.large} MiB`,
        baseline: 'one stream before',
        measured: `${right} right, + ${mib(grown)} ${codesOf(result)}`,
        isPassed: right === count && grown <= GROWTH_MIB.large,
      },
    ]
  },
}

/** One state, in and out: memory does not follow its size. */
const one: Bar = {
  name: 'L2',
  needsQuiet: false,
  async run({ isShort }) {
    await using site = await openSite()
    const put = { kind: 'put', method: 'PUT', headers: { 'content-type': 'application/json' } } as const
    const rows: Row[] = []
    for (const sizeBytes of [50 * MIB, isShort ? 256 * MIB : 1024 * MIB]) {
      const path = `/runs/load/steps/size%20${sizeBytes}/snapshot`
      await site.load({ questions: [{ ...put, path: `${path}`, bodyBytes: 8 * MIB }], count: 2 })
      const written = await site.growth(() =>
        site.load({ questions: [{ ...put, path, bodyBytes: sizeBytes }], count: 1 }),
      )
      const id = await newestOf(site.origin, `size ${sizeBytes}`)
      const question = { kind: 'get', method: 'GET', path: `/snapshots/${id}/payload` } as const
      const read = await site.growth(() => site.load({ questions: [question], count: 1 }))
      const isWhole = isRight(written.result[0] as never) && read.result[0]?.sizeBytes === sizeBytes
      rows.push({
        bar: 'L2',
        what: `one state of ${sizeBytes / MIB} MiB, in and out`,
        limit: `memory + ≤ ${GROWTH_MIB.one} MiB`,
        baseline: 'two states of 8 MiB before',
        measured: `in + ${mib(written.mib)}, out + ${mib(read.mib)}${isWhole ? '' : ', not whole'}`,
        isPassed: isWhole && Math.max(written.mib, read.mib) <= GROWTH_MIB.one,
      })
    }
    return rows
  },
}

async function newestOf(origin: string, stepId: string): Promise<string> {
  const query = `{ snapshot(runId: "load", stepId: ${JSON.stringify(stepId)}) { snapshotId } }`
  const headers = { 'content-type': 'application/json' }
  const answer = await fetch(`${origin}/graphql`, { method: 'POST', headers, body: JSON.stringify({ query }) })
  const { data } = (await answer.json()) as { data: { snapshot: { snapshotId: string } } }
  return data.snapshot.snapshotId
}

/** Enough to tell a state from a refusal. */
const HEAD_BYTES = 1024

/** Clients that ask and then take no more than the head of the answer. */
const stalled: Bar = {
  name: 'L3',
  needsQuiet: false,
  async run({ isShort }) {
    const count = isShort ? 50 : 200
    await using site = await openSite({ env: { PAYLOAD_STREAMS_MAX: String(count) } })
    const { path } = await site.store(1, 30 * MIB)
    const reader = { target: path, allowance: () => HEAD_BYTES, everyMillis: 250, isProbing: true }
    const { mib: grown, result } = await site.growth(() =>
      Promise.all(Array.from({ length: count }, (_, place) => comeIn(place, () => readSlowly(site.origin, reader)))),
    )
    // A store may take its time before there is anything to take.
    const longest = Math.max(...result.map(({ seconds, headSeconds }) => seconds - headSeconds))
    const refused = result.filter(({ status }) => status !== 'HTTP/1.1 200 OK').length
    return [
      {
        bar: 'L3',
        what: `${count} clients that never read 30 MiB`,
        limit: `cut by ${STALLED_SECONDS} s, memory + ≤ ${GROWTH_MIB.stalled} MiB`,
        baseline: 'none',
        measured: `the last ${longest.toFixed(1)} s behind its head, + ${mib(grown)}${refused === 0 ? '' : `, ${refused} were refused`}`,
        isPassed: longest <= STALLED_SECONDS && grown <= GROWTH_MIB.stalled && refused === 0,
      },
    ]
  },
}

/** All at once they would wait for the store, and it is their own waiting that counts. */
async function comeIn<T>(place: number, work: () => Promise<T>): Promise<T> {
  await delay(50 * place)
  return await work()
}

/** Streams that their clients leave. */
const left: Bar = {
  name: 'L4',
  needsQuiet: false,
  async run({ isShort }) {
    const count = isShort ? 1000 : 10_000
    await using site = await openSite()
    const { path } = await site.store(1, 8 * MIB)
    const questions = [1, 100_000, 4 * MIB, 8 * MIB - 1000].map((leaveAfterBytes) => ({
      kind: 'left',
      method: 'GET' as const,
      path,
      leaveAfterBytes,
    }))
    await site.load({ questions, parallel: 16, count: 100 })
    await delay(SETTLE_MS)
    const before = await site.descriptors()
    await site.load({ questions, parallel: 16, count })
    await delay(SETTLE_MS)
    const after = await site.descriptors()
    const waiting = await closeWaits(Number(new URL(site.origin).port))
    return [
      {
        bar: 'L4',
        what: `${count} streams left at 1 B, 0.1, 4 and 8 MB`,
        limit: `descriptors ± ${DESCRIPTORS}, none in CLOSE_WAIT`,
        baseline: `${before} descriptors`,
        measured: `${after} descriptors, ${waiting} in CLOSE_WAIT`,
        isPassed: Math.abs(after - before) <= DESCRIPTORS && waiting === 0,
      },
    ]
  },
}

const CLOSE_WAIT = '08'

async function closeWaits(port: number): Promise<number> {
  const hex = port.toString(16).toUpperCase().padStart(4, '0')
  const lines = (await readFile('/proc/net/tcp', 'utf8')).split('\n').map((line) => line.trim().split(/\s+/))
  return lines.filter(([, local = '', , state]) => local.endsWith(`:${hex}`) && state === CLOSE_WAIT).length
}

export const STREAM_BARS: readonly Bar[] = [large, one, stalled, left]
