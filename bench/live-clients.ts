import { parseArgs } from 'node:util'
import { printBars } from './lib/bars.ts'
import { startDatabase } from './lib/database.ts'
import { measureIdleCpu, measureIdleMemory, measureLatency } from './lib/live-streams.ts'
import { divideCores, startServer } from './lib/processes.ts'
import { describeMachine, endPart, note, print } from './lib/report.ts'
import { withSession } from './lib/session.ts'

/*
 * What it takes to watch over the wire: `npm run bench:live-clients`. How soon subscribers hear of a commit, and what they cost while nothing happens.
 */
const { values } = parseArgs({
  options: {
    subscribers: { type: 'string', default: '200' },
    // A process takes 2,000 connections, and some are not for streams.
    idle: { type: 'string', default: '1950' },
    seconds: { type: 'string', default: '20' },
    write: { type: 'boolean', default: false },
  },
})
const subscribers = Number(values.subscribers)
const idle = Number(values.idle)
const seconds = Number(values.seconds)

await withSession(async (session) => {
  const pin = await divideCores()
  const databaseUrl = await startDatabase(session)
  const env = {
    DATABASE_URL: databaseUrl,
    SNAPSHOT_STORAGE_PATH: await session.folder(),
    PORT: '0',
    EVENT_STREAMS_MAX: '10000',
    EVENT_STREAMS_PER_VIEWER_MAX: '10000',
  }
  const options = { name: 'statelens', args: ['src/main.ts', 'serve'], env }
  const plain = await startServer(session, pin, options)
  const probed = await startServer(session, pin, { ...options, isProbed: true })
  print(await describeMachine(['servers on one core, subscribers and PostgreSQL on the rest']))
  note(`${idle} streams on which nothing happens`)
  const resting = { databaseUrl, subscribers: idle, seconds }
  const cpu = await measureIdleCpu(plain, resting)
  const memory = await measureIdleMemory(probed, resting)
  note(`${subscribers} subscribers while others commit`)
  const active = await measureLatency(plain, { databaseUrl, subscribers, seconds })
  print(`\n${subscribers} subscribers of 20 runs, some 20 commits a second; then ${idle} streams.\n`)
  printBars([...active, memory, cpu])
  await endPart('live-clients', values)
})
