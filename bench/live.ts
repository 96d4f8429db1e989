import { randomUUID } from 'node:crypto'
import { setTimeout as delay } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { sql } from 'kysely'
import { createDatabase } from '../src/db/connect.ts'
import { createEvents } from '../src/events/events.ts'
import { printBars } from './lib/bars.ts'
import { startDatabase, withClient } from './lib/database.ts'
import { CAPTURE, createWriterCost, WAYS } from './lib/live-writers.ts'
import { cpuOfPostgres } from './lib/postgres-cpu.ts'
import { describeMachine, endPart, formatNumber, note, print, printTable } from './lib/report.ts'
import { withSession } from './lib/session.ts'
import { median, quantile } from './lib/statistics.ts'

/*
 * What it costs to tell what happens, and how soon it is told: `npm run bench:live`. Writers with the mark that events are found by, without
 * it, and with a NOTIFY in each of their transactions; one look for all who watch beside one for each of them; and the time from a commit
 * to the event.
 */
const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '7' },
    writes: { type: 'string', default: '600' },
    watchers: { type: 'string', default: '200' },
    captures: { type: 'string', default: '150' },
    write: { type: 'boolean', default: false },
  },
})
const watchers = Number(values.watchers)
const LOOK_SECONDS = 4
const POLL_MILLIS = 100

/** Milliseconds from the moment that a commit is acknowledged until each of those who watch has its event. */
async function measureLatency(url: string): Promise<readonly number[]> {
  const [db, watching] = [createDatabase({ url }), createDatabase({ url, maxConnections: 1 })]
  const events = createEvents({ db, watching, onProblem: (error) => note(String(error)) })
  const committed = new Map<string, number>()
  const millis: number[] = []
  const watches = await Promise.all(Array.from({ length: watchers }, () => events.watchRun({ runId: 'latency' })))
  const reading = watches.map(async (watch) => {
    for await (const { event } of watch) {
      const at = event.kind === 'SnapshotCaptured' ? committed.get(event.snapshot.snapshotId) : undefined
      if (at !== undefined) millis.push(performance.now() - at)
    }
  })
  await withClient(url, async (client) => {
    for (let i = 0; i < Number(values.captures); i++) {
      const id = randomUUID()
      await client.query(CAPTURE, [id, 'latency', 'step'])
      committed.set(id, performance.now())
      await delay(20 + Math.random() * 30)
    }
  })
  await delay(1000)
  events.close()
  await Promise.all(reading)
  await Promise.all([db.close(), watching.close()])
  return millis
}

/** CPU milliseconds of PostgreSQL a second, while nothing happens: one look for all of them, or one for each. */
async function measureLooks(url: string): Promise<{ readonly shared: number; readonly each: number }> {
  const [db, watching] = [createDatabase({ url }), createDatabase({ url, maxConnections: 1 })]
  const events = createEvents({ db, watching, onProblem: (error) => note(String(error)) })
  const all = await Promise.all(Array.from({ length: watchers }, () => events.watchRun({ runId: 'latency' })))
  const shared = await cpuOfPostgres(url, () => delay(LOOK_SECONDS * 1000))
  await Promise.all(all.map((watch) => watch.return()))
  const over = performance.now() + LOOK_SECONDS * 1000
  const pollOne = async () => {
    while (performance.now() < over) {
      const next = performance.now() + POLL_MILLIS
      await db.rows(
        sql`select id, seq from state_snapshots where run_id = ${'latency'} and seq > ${'999999999'}::bigint`,
      )
      await delay(Math.max(0, next - performance.now()))
    }
  }
  const each = await cpuOfPostgres(url, () => Promise.all(Array.from({ length: watchers }, pollOne)))
  await Promise.all([db.close(), watching.close()])
  return { shared: shared / LOOK_SECONDS, each: each / LOOK_SECONDS }
}

await withSession(async (session) => {
  const url = await startDatabase(session)
  const cost = await createWriterCost(session, url)
  for (let round = 0; round < Number(values.rounds); round++) {
    note(`writers, round ${round + 1}`)
    await cost.measure(Number(values.writes), round)
  }
  print(await describeMachine(['PostgreSQL, writers and those who watch on the same cores', `${values.rounds} rounds`]))
  print()
  print('**CPU of PostgreSQL for each write, that without the mark = 1.00**\n')
  printTable(
    ['way', 'capture', 'upsert of a run', 'upsert of a step'],
    WAYS.map((way) => [way, ...cost.kinds.map((kind) => formatNumber(median(cost.ratios(kind, way))))]),
  )
  note('latency')
  const millis = await measureLatency(url)
  note('looks')
  const { shared, each } = await measureLooks(url)
  print(`**With ${watchers} who watch one run**\n`)
  printTable(
    ['what', 'measured'],
    [
      ['from the commit to the event, median', `${formatNumber(median(millis))} ms`],
      ['the same, 99 of 100', `${formatNumber(quantile(millis, 0.99))} ms`],
      ['CPU of PostgreSQL while nothing happens, one look for all', `${formatNumber(shared)} ms a second`],
      [`the same, a query of each of them every ${POLL_MILLIS} ms`, `${formatNumber(each)} ms a second`],
    ],
  )
  printBars([
    { bar: 'live.capture', values: cost.ratios('capture', 'with the mark').map((ratio) => 1 / ratio) },
    { bar: 'live.latency', values: [median(millis)] },
    { bar: 'live.latency-99', values: [quantile(millis, 0.99)] },
  ])
  await endPart('live', values)
})
