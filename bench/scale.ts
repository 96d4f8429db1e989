import { parseArgs } from 'node:util'
import type { Scale } from '../test/support/many-rows.ts'
import { printBarsOf } from './lib/bars.ts'
import { seed, startDatabase } from './lib/database.ts'
import { installPeers } from './lib/install.ts'
import { generateLoad, graphqlRequest } from './lib/load.ts'
import { fillLarge, measurePlans } from './lib/plans.ts'
import { divideCores, type ServerProcess, startServer } from './lib/processes.ts'
import { describeMachine, endPart, print } from './lib/report.ts'
import { type Session, withSession } from './lib/session.ts'
import { ratios } from './lib/statistics.ts'

/*
 * Whether pages cost more the more there is: `npm run bench:scale`. First what PostgreSQL reads for a page of every list, filter and
 * order, in a store of as many snapshots as asked for, without payloads, which no list reads; one run has a tenth of them. Then the
 * first page of runs beside a store of 10,000 snapshots; `--plans` leaves that out.
 */
const { values } = parseArgs({
  options: {
    snapshots: { type: 'string', default: '10000000' },
    rounds: { type: 'string', default: '7' },
    plans: { type: 'boolean', default: false },
    write: { type: 'boolean', default: false },
  },
})
const SNAPSHOTS_PER_RUN = 20
const SMALL_RUNS = 500
const snapshots = Number(values.snapshots)
const snapshotsOfGiant = Math.floor(snapshots / 10)
const SCALE: Scale = {
  runs: Math.ceil((snapshots - snapshotsOfGiant) / SNAPSHOTS_PER_RUN),
  snapshotsPerRun: SNAPSHOTS_PER_RUN,
  snapshotsOfGiant,
}

const BODY = JSON.stringify({
  query: `query Page { runs(first: 50) { pageInfo { hasNextPage endCursor } edges { cursor node {
    runId workflowName status createdAt latestSnapshot { seq sizeBytes } } } } }`,
})

async function serve(session: Session, pin: readonly string[], url: string): Promise<ServerProcess> {
  const env = { DATABASE_URL: url, PORT: '0', DATA_DIR: await session.folder() }
  return await startServer(session, pin, { name: 'statelens', args: ['src/main.ts', 'serve'], env })
}

async function millisecondsPerAnswer({ origin }: ServerProcess): Promise<number> {
  const load = { origin, nextRequest: () => graphqlRequest(BODY), connections: 1, seconds: 2, leastBytes: 5000 }
  const { requests, seconds } = await generateLoad(load)
  return (seconds / requests) * 1000
}

async function compareFirstPages(session: Session, largeUrl: string): Promise<void> {
  const pin = await divideCores()
  const smallUrl = await startDatabase(session)
  await seed(smallUrl, SMALL_RUNS)
  const small = await serve(session, pin, smallUrl)
  const large = await serve(session, pin, largeUrl)
  const times: { readonly small: number[]; readonly large: number[] } = { small: [], large: [] }
  for (let round = 0; round <= Number(values.rounds); round++) {
    const pair = [await millisecondsPerAnswer(small), await millisecondsPerAnswer(large)] as const
    // The first round only warms up.
    if (round === 0) continue
    times.small.push(pair[0])
    times.large.push(pair[1])
  }
  print(
    `\`runs(first: 50)\` with ${snapshots.toLocaleString('en')} snapshots beside 10,000; ${values.rounds} rounds of 2 s`,
  )
  print()
  printBarsOf('Bars', [{ bar: 'scale.first-page', values: ratios(times.large, times.small) }])
}

if (!values.plans) await installPeers()
await withSession(async (session) => {
  const url = await startDatabase(session)
  await fillLarge(url, SCALE)
  print(await describeMachine(['servers on one core, load and PostgreSQL on the rest']))
  await measurePlans(url, SCALE)
  if (!values.plans) await compareFirstPages(session, url)
  await endPart('scale', values)
})
