import { setTimeout as delay } from 'node:timers/promises'
import { type Bar, codesOf, isRight, millis, p99, type Row, wrongOf } from './bar.ts'
import type { Told } from './generator.ts'
import { openSite, type Site, smallQuestion } from './site.ts'

const MIB = 2 ** 20
const PER_SECOND = 50
const STATES = 4

/** Pages beside streams that take every place there is. */
const beside: Bar = {
  name: 'L5',
  needsQuiet: true,
  async run({ isShort }) {
    const seconds = isShort ? 8 : 30
    await using site = await openSite({ env: { PAYLOAD_STREAMS_MAX: '16' } })
    const streams = await fill(site)
    const pages = { questions: [smallQuestion()], perSecond: PER_SECOND, seconds }
    await site.load({ ...pages, seconds: 3 })
    await site.heldLoop()
    const alone = await site.load(pages)
    const quiet = await site.heldLoop()
    const [told] = await Promise.all([site.load(pages), site.load({ questions: streams, parallel: 24, seconds })])
    const held = await site.heldLoop()
    const limit = Math.max(5 * p99(alone), 250)
    return [
      {
        bar: 'L5',
        what: `${PER_SECOND} pages a second beside 16 streams, and 8 that wait`,
        limit: 'p99 ≤ 5 × alone, or 250 ms',
        baseline: millis(p99(alone)),
        measured: `${millis(p99(told))}, ${told.filter(isRight).length} of ${told.length} right`,
        isPassed: p99(told) <= limit && told.every(isRight),
      },
      {
        bar: 'L6',
        what: 'the event loop meanwhile',
        limit: 'held p99 ≤ 50 ms, at most 200 ms',
        baseline: `p99 ${millis(quiet.p99)}, most ${millis(quiet.max)}`,
        measured: `p99 ${millis(held.p99)}, most ${millis(held.max)}`,
        isPassed: held.p99 <= 50 && held.max <= 200,
      },
    ]
  },
}

/** The bars' states, each page of which has all of them. */
async function fill(site: Site) {
  const stored = []
  for (let number = 0; number < STATES; number++) stored.push(await site.store(number, 16 * MIB))
  return stored.map(({ path, sha256 }) => ({ kind: 'stream', method: 'GET' as const, path, sha256 }))
}

const writes: Bar = {
  name: 'L7',
  needsQuiet: true,
  async run({ isShort }) {
    await using site = await openSite()
    const rounds = isShort ? 2 : 6
    const put = (place: number) => ({
      kind: 'put',
      method: 'PUT' as const,
      path: `/runs/load/steps/${place}/snapshot`,
      headers: { 'content-type': 'application/json' },
      bodyBytes: 2 * MIB,
    })
    const questions = Array.from({ length: 50 }, (_, place) => put(place))
    const alone = await site.load({ questions, parallel: 1, count: 10 })
    const told = await site.load({ questions, parallel: 50, count: 50 * rounds })
    const right = told.filter(isRight).length
    const kept = await countOf(site)
    return [
      {
        bar: 'L7',
        what: '50 writes of 2 MiB at once',
        limit: 'p99 ≤ 2 s, none lost',
        baseline: `one at a time ${millis(p99(alone))}`,
        measured: `${millis(p99(told))}, ${right} of ${told.length} acknowledged, ${kept - alone.length} kept ${codesOf(told)}`,
        isPassed: p99(told) <= 2000 && kept === right + alone.length && wrongOf(told) === 0,
      },
    ]
  },
}

async function countOf({ world }: Site): Promise<number> {
  const { countRows } = await import('../../test/support/rows.ts')
  return await countRows(world.databaseUrl, 'state_snapshots')
}

const SETTLE_MS = 5000

/** Five times what it can do. */
const overload: Bar = {
  name: 'L8',
  needsQuiet: true,
  async run({ isShort }) {
    const seconds = isShort ? 10 : 60
    await using site = await openSite({ kind: 'file' })
    const stored = await site.store(1, 1.5 * MIB)
    const read = { kind: 'state', method: 'GET' as const, path: stored.path, sha256: stored.sha256 }
    const questions = [smallQuestion(), smallQuestion(), smallQuestion(), read]
    const closed = await site.load({ questions, parallel: 16, seconds: isShort ? 5 : 15 })
    const peak = closed.filter(isRight).length / (isShort ? 5 : 15)
    const told = await site.load({ questions, perSecond: 5 * peak, seconds, endsInTime: true })
    await delay(SETTLE_MS)
    const after = await site.load({ questions, perSecond: peak / 4, seconds: 3 })
    // Whoever asks may be slower than that, on the cores that it shares with whoever answers.
    const sentUpTo = told.reduce((last, { at, lateMillis }) => Math.max(last, at + lateMillis), 0)
    const offered = (1000 * told.length) / sentUpTo
    // From when it was sent: that of a question which nobody could send in time is no time of the server.
    const right = told.filter(isRight).map((one) => ({ ...one, millis: one.millis - one.lateMillis }))
    const inTime = right.filter(({ at, lateMillis, millis: took }) => at + lateMillis + took <= seconds * 1000)
    const goodput = inTime.length / seconds
    const unexplained = told.filter(({ status, hasRetryAfter }) => status >= 500 && !hasRetryAfter).length
    const rows: Row[] = [
      {
        bar: 'L8',
        what: `five times the ${peak.toFixed(0)} a second that it can do, ${seconds} s; ${offered.toFixed(0)} a second were sent`,
        limit: 'done ≥ 80 % of that, errors say when to come again',
        baseline: `p99 ${millis(p99(closed))}`,
        measured: `${((100 * goodput) / peak).toFixed(0)} %, p99 ${millis(p99(right))}; ${codesOf(told)}`,
        isPassed: goodput >= 0.8 * peak && unexplained === 0 && p99(right) <= 2 * p99(closed),
      },
      {
        bar: 'L8',
        what: 'five seconds later',
        limit: 'all right, p99 as before',
        baseline: millis(p99(closed)),
        measured: `${after.filter(isRight).length} of ${after.length} right, ${millis(p99(after))}`,
        isPassed: after.every(isRight) && p99(after) <= 2 * p99(closed),
      },
    ]
    return rows
  },
}

const HOLE_MS = 10_000
const RECOVERY_MS = 3000

/** Each of what it needs gone for ten seconds, under load. */
const blackholes: Bar = {
  name: 'L9',
  needsQuiet: false,
  async run({ isShort }) {
    const rows: Row[] = []
    for (const target of ['postgres', 'valkey', 's3'] as const) {
      await using site = await openSite({ isProxied: true })
      const [large] = await fill(site)
      const small = await site.store(99, 1000)
      const inline = { kind: 'inline', method: 'GET' as const, path: small.path, sha256: small.sha256 }
      const questions = [smallQuestion(), inline, ...(large ? [{ ...large, kind: 'object' }] : [])]
      const proxy = site.member.proxies[target]
      if (!proxy) continue
      const before = isShort ? 5 : 15
      const perSecond = 20
      const alone = await site.load({ questions, perSecond, seconds: before })
      const loading = site.load({ questions, perSecond, seconds: before + HOLE_MS / 1000 + before })
      await delay(before * 1000)
      const began = before * 1000
      proxy.blackhole()
      await delay(HOLE_MS)
      await proxy.heal()
      const told = await loading
      rows.push(judgeHole(target, { told, alone, began }))
    }
    return rows
  },
}

interface Hole {
  readonly told: readonly Told[]
  readonly alone: readonly Told[]
  /** When it began, in milliseconds since the beginning of the load. */
  readonly began: number
}

function judgeHole(target: string, { told, alone, began }: Hole): Row {
  const healed = began + HOLE_MS
  const late = told.filter(({ at }) => at > healed + RECOVERY_MS)
  const wrong = wrongOf(told)
  const untouched = target === 'valkey' ? told : target === 's3' ? told.filter(({ kind }) => kind !== 'object') : []
  const failed = untouched.filter((one) => !isRight(one)).length
  return {
    bar: 'L9',
    what: `${target} gone for 10 s under load`,
    limit: `typed errors, no wrong byte, as before 3 s later${untouched.length > 0 ? ', no error of what needs it not' : ''}`,
    baseline: `${alone.filter(isRight).length} of ${alone.length} right, p99 ${millis(p99(alone))}`,
    measured: `${wrong} wrong or untyped, ${failed} needless; later ${late.filter(isRight).length} of ${late.length} right; ${codesOf(told)}`,
    isPassed: wrong === 0 && failed === 0 && late.every(isRight),
  }
}

export const MIXED_BARS: readonly Bar[] = [beside, writes, overload, blackholes]
