import { parseArgs } from 'node:util'
import { globalSetup, globalTeardown } from '../support/global-setup.ts'
import { playHistory } from './history.ts'
import type { StoreKind } from './world.ts'

const { values } = parseArgs({
  options: {
    histories: { type: 'string', default: '1' },
    seed: { type: 'string', default: String(Date.now() % 1e9) },
    operations: { type: 'string', default: '2000' },
    store: { type: 'string' },
  },
})
await globalSetup()
const KINDS: readonly StoreKind[] = ['file', 's3']
try {
  const first = Number(values.seed)
  for (let seed = first; seed < first + Number(values.histories); seed++) {
    const kind = (values.store as StoreKind | undefined) ?? KINDS[seed % 2] ?? 'file'
    const began = performance.now()
    const { operations, states, counts } = await playHistory({ kind, seed, operations: Number(values.operations) })
    const seconds = Math.round((performance.now() - began) / 1000)
    process.stdout.write(
      `seed ${seed}, ${kind}: ${operations} operations in ${seconds} s, ${states} states read back\n`,
    )
    process.stdout.write(`${JSON.stringify(Object.fromEntries([...counts].toSorted()))}\n`)
  }
} finally {
  await globalTeardown()
}
