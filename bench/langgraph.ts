import { readdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import type { RunnableConfig } from '@langchain/core/runnables'
import { type BaseCheckpointSaver, emptyCheckpoint, uuid6 } from '@langchain/langgraph-checkpoint'
import { PostgresSaver } from '@langchain/langgraph-checkpoint-postgres'
import { StatelensSaver } from '../src/langgraph/saver.ts'
import { startDatabase, withClient } from './lib/database.ts'
import { startServer } from './lib/processes.ts'
import { describeMachine, endPart, note, print, printTable } from './lib/report.ts'
import { withSession } from './lib/session.ts'

/*
 * What it costs to keep the history of a graph whose state is large and grows by messages, beside the framework's own saver for PostgreSQL, in
 * one run: `npm run bench:langgraph`.
 */
const { values } = parseArgs({
  options: {
    checkpoints: { type: 'string', default: '1000' },
    mb: { type: 'string', default: '5' },
    write: { type: 'boolean', default: false },
  },
})
const checkpoints = Number(values.checkpoints)
const stateBytes = Number(values.mb) * 1_000_000
const THREAD = 'a long thread'
const READS = 20

/** Words in no order, so that they compress as texts do. */
function createWords(): (count: number) => string {
  let seed = 42
  const words = Array.from({ length: 4000 }, (_, i) => ((i * 7919) % 1_000_003).toString(36))
  return (count) =>
    Array.from({ length: count }, () => {
      // The low bits of such a sequence repeat soon.
      seed = (Math.imul(seed, 1_664_525) + 1_013_904_223) >>> 0
      return words[(seed >>> 12) % words.length]
    }).join(' ')
}

interface Outcome {
  readonly putMillis: number
  readonly getMillis: number
  readonly historyMillis: number
  readonly storedBytes: number
}

async function measure(saver: BaseCheckpointSaver, storedBytes: () => Promise<number>): Promise<Outcome> {
  const say = createWords()
  const message = (i: number) => ({ id: `m${i}`, role: i % 2 === 0 ? 'user' : 'assistant', content: say(150) })
  const messages: object[] = []
  for (let bytes = 0; bytes < stateBytes; bytes += JSON.stringify(messages.at(-1)).length)
    messages.push(message(messages.length))
  const configurable = { thread_id: THREAD, checkpoint_ns: '' }
  let config: RunnableConfig = { configurable }
  const began = performance.now()
  for (let i = 0; i < checkpoints; i++) {
    messages.push(message(messages.length))
    const checkpoint = {
      ...emptyCheckpoint(),
      id: uuid6(i),
      channel_values: { messages, turn: i },
      channel_versions: { messages: i + 1, turn: i + 1 },
    }
    config = await saver.put(config, checkpoint, { source: 'loop', step: i, parents: {} }, checkpoint.channel_versions)
    await saver.putWrites(config, [['messages', messages.at(-1)]], `task ${i}`)
    if (i % 100 === 99) note(`${i + 1} checkpoints`)
  }
  const putMillis = (performance.now() - began) / checkpoints
  const readAt = performance.now()
  for (let i = 0; i < READS; i++) await saver.getTuple({ configurable })
  const getMillis = (performance.now() - readAt) / READS
  const listAt = performance.now()
  await Array.fromAsync(saver.list({ configurable }, { limit: 10 }))
  return { putMillis, getMillis, historyMillis: performance.now() - listAt, storedBytes: await storedBytes() }
}

async function sizeOfTables(url: string, pattern: string): Promise<number> {
  return await withClient(url, async (client) => {
    const { rows } = await client.query<{ bytes: string }>(
      `select coalesce(sum(pg_total_relation_size(oid)), 0)::text as bytes from pg_class
       where relkind = 'r' and relname ~ $1`,
      [pattern],
    )
    return Number(rows[0]?.bytes)
  })
}

async function sizeOfFolder(path: string): Promise<number> {
  const entries = await readdir(path, { recursive: true, withFileTypes: true })
  const sizes = entries.map(async (entry) =>
    entry.isFile() ? (await stat(join(entry.parentPath, entry.name))).size : 0,
  )
  return (await Promise.all(sizes)).reduce((sum, size) => sum + size, 0)
}

await withSession(async (session) => {
  const url = await startDatabase(session)
  const storagePath = await session.folder()
  const { origin } = await startServer(session, [], {
    name: 'statelens',
    args: ['src/main.ts', 'serve'],
    env: { DATABASE_URL: url, SNAPSHOT_STORAGE_PATH: storagePath, PORT: '0', LOG_REQUESTS: 'false' },
  })
  const postgres = PostgresSaver.fromConnString(url, { schema: 'langgraph' })
  await postgres.setup()
  await session.defer(() => postgres.end())
  note('statelens/langgraph')
  const ours = await measure(
    new StatelensSaver({ url: origin }),
    async () => (await sizeOfTables(url, '^(state_snapshots|statelens_)')) + (await sizeOfFolder(storagePath)),
  )
  note('PostgresSaver')
  const theirs = await measure(postgres, async () => await sizeOfTables(url, '^checkpoint'))
  print(await describeMachine(['both savers, their PostgreSQL and the server on the same cores']))
  print(`\n${checkpoints} checkpoints of a state of ${values.mb} MB that grows by a message each.\n`)
  const row = (name: string, pick: (outcome: Outcome) => number, unit: string) => [
    name,
    `${pick(ours).toFixed(1)} ${unit}`,
    `${pick(theirs).toFixed(1)} ${unit}`,
    (pick(ours) / pick(theirs)).toFixed(2),
  ]
  printTable(
    ['', 'statelens/langgraph', 'PostgresSaver', 'ratio'],
    [
      row('put and putWrites', ({ putMillis }) => putMillis, 'ms'),
      row('getTuple, the newest', ({ getMillis }) => getMillis, 'ms'),
      row('list, ten of them', ({ historyMillis }) => historyMillis, 'ms'),
      row('stored', ({ storedBytes }) => storedBytes / 1_000_000, 'MB'),
    ],
  )
  await endPart('langgraph', values)
})
