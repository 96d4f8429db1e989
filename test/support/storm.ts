import assert from 'node:assert/strict'
import { setTimeout as delay } from 'node:timers/promises'
import pg from 'pg'
import { capture } from './answers.ts'
import { isCaughtUp, type Live, RUN_EVENTS, snapshotIds } from './live.ts'
import { createRandom } from './random.ts'
import { query } from './rows.ts'
import type { TestServer } from './server.ts'

export interface StormOptions {
  readonly server: TestServer
  readonly live: Live
  readonly seed: number
  readonly millis: number
  readonly writers?: number
  readonly watchers?: number
}

/** One of those who write and who watch, as its own numbers say. */
interface Part extends StormOptions {
  readonly runId: string
  /** A number from 0 up to before this one. */
  readonly below: (end: number) => number
  readonly until: number
}

/**
 * Twelve write, half of them through the server and half past it, with savepoints and slow transactions; fifty watch, and go away at
 * random. In the end each must have been told of exactly what is in the table.
 * @returns how many captures there were, and how often somebody came back.
 */
export async function checkStorm(options: StormOptions): Promise<{ captures: number; returns: number }> {
  const { server, seed, millis, writers = 12, watchers = 50 } = options
  const runId = `storm ${seed}`
  const until = performance.now() + millis
  const part = (number: number): Part => {
    const random = createRandom(seed * 1000 + number)
    return { ...options, runId, until, below: (end) => Math.floor(random() * end) }
  }
  const over = new AbortController()
  const watching = Array.from({ length: watchers }, (_, i) => watch(part(500 + i), over.signal))
  const writing = Array.from({ length: writers }, (_, i) => (i % 2 === 0 ? writeHere(part(i), i) : writePast(part(i))))
  await Promise.all(writing)
  over.abort()
  const told = await Promise.all(watching)
  const stored = await query<{ id: string }>(server.databaseUrl, 'select id from state_snapshots where run_id = $1', [
    runId,
  ])
  const ids = stored.map(({ id }) => id).toSorted()
  for (const { seen } of told) assert.deepEqual([...seen].toSorted(), ids)
  return { captures: ids.length, returns: told.reduce((sum, { returns }) => sum + returns, 0) }
}

async function writeHere({ server, runId, below, until }: Part, number: number): Promise<void> {
  while (performance.now() < until) {
    await capture(server, { runId, stepId: `step ${number}`, payload: number })
    await delay(below(30))
  }
}

async function writePast({ server, runId, below, until }: Part): Promise<void> {
  const client = new pg.Client({ connectionString: server.databaseUrl })
  await client.connect()
  const insert = (rows: number) =>
    client.query(
      "insert into state_snapshots (run_id, step_id, snapshot) select $1, 'past', '1' from generate_series(1, $2::int)",
      [runId, rows],
    )
  while (performance.now() < until) {
    await client.query('begin')
    await insert(1 + below(3))
    if (below(3) === 0) {
      await client.query('savepoint here')
      await insert(1)
      await client.query(below(2) === 0 ? 'rollback to here' : 'release here')
    }
    await delay(below(4) === 0 ? below(400) : below(20))
    await client.query(below(8) === 0 ? 'rollback' : 'commit')
  }
  await client.end()
}

/** Goes away after some events or some time, and comes back; stays once all is written, until it is caught up. */
async function watch({ live, runId, below }: Part, over: AbortSignal) {
  const seen = new Set<string>()
  let cursor: string | undefined
  for (let returns = 0; ; returns++) {
    const isLast = over.aborted
    const { stream, next } = await live.subscribe(RUN_EVENTS, { runId, after: cursor })
    const leave = () => void stream.return()
    const timer = isLast ? undefined : setTimeout(leave, 20 + below(400))
    for (let left = 1 + below(200); left > 0 || isLast; left--) {
      const received = await next()
      if (!received) break
      cursor = received.cursor
      for (const id of snapshotIds([received])) seen.add(id)
      if (isLast && isCaughtUp(received)) break
    }
    clearTimeout(timer)
    await stream.return()
    if (isLast) return { seen, returns }
  }
}
