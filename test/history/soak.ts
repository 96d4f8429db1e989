import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import fc from 'fast-check'
import { globalSetup, globalTeardown } from '../support/global-setup.ts'
import { temporaryFolder } from '../support/tmp.ts'
import { checkAll } from './final.ts'
import { type Gauged, gauge, slopeOf } from './gauge.ts'
import { GAUGE_FILE_VARIABLE } from './gauge-hooks.ts'
import { historyOf, LONG } from './operations.ts'
import { createStage, playRound, type Stage } from './play.ts'
import { openWorld, type StoreKind } from './world.ts'

/*
 * `npm run soak`: one world for as long as it is told, its states piling up, with faults at every proxy and kills of one of its two servers.
 * The other one lives through all of it, and what it holds must stay flat. In the end every state is read back and hashed. Ctrl-C ends it
 * sooner, and as well.
 */
const { values } = parseArgs({
  options: {
    minutes: { type: 'string', default: '30' },
    operations: { type: 'string', default: 'Infinity' },
    seed: { type: 'string', default: String(Date.now() % 1e9) },
    store: { type: 'string', default: 'file' },
  },
})
const HOOKS = fileURLToPath(new URL('gauge-hooks.ts', import.meta.url))
const ROUNDS = 50
const GAUGE_EVERY_MS = 20_000
/** What a server needs to get warm, and is left out. */
const WARM_SHARE = 1 / 6
/** Most that a figure may grow in a minute. */
const FLAT = { heapMib: 0.5, descriptors: 0.5, databaseConnections: 0.25, otherConnections: 0.5 } as const

const stopping = new AbortController()
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => stopping.abort())

async function soak(): Promise<boolean> {
  await using folder = await temporaryFolder()
  const file = join(folder.path, 'gauge')
  const kind = values.store as StoreKind
  await using world = await openWorld({ kind, env: { [GAUGE_FILE_VARIABLE]: file }, imports: [HOOKS] })
  await world.startAll()
  const stage = createStage(world)
  const beganAt = performance.now()
  const gauged: Gauged[] = []
  const played = await play(stage, kind, async () => {
    const last = (gauged.at(-1)?.minutes ?? 0) * 60_000
    if (performance.now() - beganAt - last < GAUGE_EVERY_MS) return
    gauged.push(await gauge(world, file, beganAt))
    print(`${JSON.stringify(gauged.at(-1), round)} ${stage.model.states().length} states`)
  })
  const states = await checkAll(stage)
  print(JSON.stringify(Object.fromEntries([...stage.counts].toSorted())))
  print(`${played} operations, ${stage.model.states().length} states acknowledged, ${states} read back and hashed`)
  return tellSlopes(gauged)
}

/** @returns how many operations there were. */
async function play(stage: Stage, kind: StoreKind, afterRound: () => Promise<void>): Promise<number> {
  const until = performance.now() + Number(values.minutes) * 60_000
  let operations = 0
  const isOver = () => stopping.signal.aborted || performance.now() > until || operations >= Number(values.operations)
  for (let seed = Number(values.seed); !isOver(); seed++) {
    const [rounds = []] = fc.sample(historyOf(kind, ROUNDS, LONG), { seed, numRuns: 1 })
    for (const one of rounds) {
      if (isOver()) break
      await playRound(stage, one).catch((cause: unknown) => {
        throw new Error(`Broken with seed ${seed} in ${JSON.stringify(one)}`, { cause })
      })
      operations += one.operations.length
      await afterRound()
    }
  }
  return operations
}

function tellSlopes(gauged: readonly Gauged[]): boolean {
  const end = gauged.at(-1)?.minutes ?? 0
  const warm = gauged.filter(({ minutes }) => minutes >= end * WARM_SHARE)
  let isFlat = true
  for (const [name, most] of Object.entries(FLAT) as [keyof typeof FLAT, number][]) {
    const slope = slopeOf(warm, name)
    isFlat &&= slope <= most
    print(
      `${name}: ${slope.toFixed(3)} a minute over ${warm.length} looks, ${slope <= most ? 'flat' : `above ${most}`}`,
    )
  }
  print(`residentMib: ${slopeOf(warm, 'residentMib').toFixed(3)} a minute`)
  return isFlat
}

function round(_name: string, value: unknown): unknown {
  return typeof value === 'number' ? Math.round(value * 100) / 100 : value
}

function print(line: string): void {
  process.stdout.write(`${line}\n`)
}

await globalSetup()
try {
  if (!(await soak())) process.exitCode = 1
} finally {
  await globalTeardown()
}
