import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { text } from 'node:stream/consumers'
import { fileURLToPath } from 'node:url'
import { bytesOf } from '../../test/history/contents.ts'
import { freshDatabase } from '../../test/support/database.ts'
import { startMemoryS3 } from '../../test/support/memory-s3.ts'
import { s3Env } from '../../test/support/objects.ts'
import { startProcess } from '../../test/support/process.ts'
import { put, storedOf } from '../../test/support/put.ts'
import { temporaryFolder } from '../../test/support/tmp.ts'
import { type Bar, codesOf, isRight, millis, type Row, wrongOf } from './bar.ts'
import { generate } from './site.ts'

const SOAK = fileURLToPath(new URL('../../test/history/soak.ts', import.meta.url))

const soak: Bar = {
  name: 'L10',
  needsQuiet: true,
  async run({ isShort }) {
    const minutes = isShort ? 5 : 30
    const child = spawn(process.execPath, [SOAK, '--minutes', String(minutes)], {
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    const [told, [code]] = await Promise.all([text(child.stdout), once(child, 'exit')])
    const slopes = [...told.matchAll(/^(\w+): (-?[\d.]+) a minute/gm)].map(([, name, slope]) => `${name} ${slope}`)
    const [, states = '0'] = /(\d+) read back and hashed/.exec(told) ?? []
    return [
      {
        bar: 'L10',
        what: `${minutes} minutes of everything, with faults and kills`,
        limit: 'heap ≤ 0.5 MiB a minute, descriptors and pools flat, ≥ 10,000 states right',
        baseline: 'after the first sixth',
        measured: `${slopes.join(', ')}; ${states} states`,
        isPassed: code === 0 && (isShort || Number(states) >= 10_000),
      },
    ]
  },
}

/** Milliseconds until it says that it is ready. */
async function readyAfter(env: Readonly<Record<string, string>>): Promise<number> {
  const began = performance.now()
  await using server = startProcess({ args: ['serve'], env: { PORT: '0', ...env } })
  const url = await server.waitForUrl()
  for (;;) {
    const { status } = await fetch(`${url}/health/ready`)
    if (status === 200) break
  }
  const took = performance.now() - began
  await server.stop()
  return took
}

const startUp: Bar = {
  name: 'L11',
  needsQuiet: true,
  async run() {
    await using database = await freshDatabase()
    await using folder = await temporaryFolder()
    const rows: Row[] = []
    for (const [what, limit, env] of [
      ['services of others', 2000, { DATABASE_URL: database.url, SNAPSHOT_STORAGE_PATH: `${folder.path}/s` }],
      ['an embedded database', 5000, { DATA_DIR: `${folder.path}/data` }],
    ] as const) {
      const first = await readyAfter(env)
      const again = Math.min(await readyAfter(env), await readyAfter(env))
      rows.push({
        bar: 'L11',
        what: `ready with ${what}`,
        limit: `≤ ${limit / 1000} s`,
        baseline: `first start ${millis(first)}`,
        measured: millis(again),
        isPassed: again <= limit,
      })
    }
    return rows
  },
}

const MIB = 2 ** 20

const stampede: Bar = {
  name: 'L12',
  needsQuiet: false,
  async run() {
    await using database = await freshDatabase()
    await using store = await startMemoryS3()
    await using server = startProcess({
      args: ['serve'],
      env: { PORT: '0', DATABASE_URL: database.url, ...s3Env(store.service) },
    })
    const origin = await server.waitForUrl()
    const bytes = bytesOf({ number: 1, sizeBytes: 2 * MIB })
    const { snapshotId, digest } = storedOf(await put(origin, bytes))
    store.requests.length = 0
    const question = {
      kind: 'cold',
      method: 'GET' as const,
      path: `/snapshots/${snapshotId}/payload`,
      sha256: digest.slice('sha256:'.length),
    }
    const told = await generate({ origin, questions: [question], parallel: 500, count: 500 })
    const fetched = store.requests.filter((line) => line.startsWith('GET')).length
    const right = told.filter(isRight).length
    return [
      {
        bar: 'L12',
        what: '500 cold reads of one object of 2 MiB at once',
        limit: 'one read of the store, no wrong answer',
        baseline: 'none',
        measured: `${fetched} reads, ${right} of 500 right ${codesOf(told)}`,
        isPassed: fetched === 1 && right > 0 && wrongOf(told) === 0,
      },
    ]
  },
}

export const OTHER_BARS: readonly Bar[] = [soak, startUp, stampede]
