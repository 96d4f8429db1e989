import { parseArgs } from 'node:util'
import { checkAll } from '../history/final.ts'
import { createStage } from '../history/play.ts'
import { openWorld, type StoreKind } from '../history/world.ts'
import { globalSetup, globalTeardown } from '../support/global-setup.ts'
import { allCases } from './crash-cases.ts'
import { playCrash } from './crash-rounds.ts'

/*
 * `npm run crashes`: the server is killed at every point that it passes, by every way that a state comes in and goes, 20 times each;
 * `-- --times 1 --store file --only delete` is a part of it.
 */
const { values } = parseArgs({
  options: {
    times: { type: 'string', default: '20' },
    store: { type: 'string', default: 'file,s3' },
    only: { type: 'string' },
  },
})

let isStopping = false
for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.once(signal, () => {
    isStopping = true
  })
}

async function crashAll(kind: StoreKind): Promise<void> {
  const cases = allCases(kind).filter(({ doing }) => values.only === undefined || values.only === doing)
  await using world = await openWorld({ kind, replicas: 1 })
  const stage = createStage(world)
  let crashes = 0
  for (let time = 1; time <= Number(values.times) && !isStopping; time++) {
    for (const one of cases) {
      if (isStopping) break
      crashes++
      await playCrash(stage, one).catch((cause: unknown) => {
        throw new Error(`${kind}: ${JSON.stringify(one)}`, { cause })
      })
    }
    process.stdout.write(`${kind}: ${cases.length} points, ${time} times, ${crashes} crashes\n`)
  }
  process.stdout.write(`${kind}: ${await checkAll(stage)} states are there, each with its digest, and nothing else\n`)
}

await globalSetup()
try {
  for (const kind of values.store.split(',')) await crashAll(kind as StoreKind)
} finally {
  await globalTeardown()
}
