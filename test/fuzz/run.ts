import { parseArgs } from 'node:util'
import { openDiffs } from './diff.ts'
import { openExecutors } from './executors.ts'
import { openHistory } from './history.ts'
import { openMasker } from './masker.ts'
import { openParts } from './parts.ts'
import { openScanner } from './scanner.ts'
import { openStorm } from './storm.ts'

/*
 * Two ways to do the same, fed with the same random input, and one that must come out even: `npm run fuzz` takes all of them in turns, and
 * goes on until it is stopped or finds a difference; `npm run fuzz -- scanner` takes one; `npm run fuzz -- --count 2000 --seed 1` takes so many seeds from there.
 */
export interface Fuzz extends AsyncDisposable {
  /** @throws AssertionError at the first difference; it names the input. */
  check(seed: number): Promise<void>
  /** What was compared by now. */
  told(): string
}

const OPEN: Readonly<Record<string, () => Promise<Fuzz>>> = {
  diff: openDiffs,
  executors: openExecutors,
  history: () => openHistory({ operations: Number(values.operations), store: storeOf(values.store) }),
  masker: openMasker,
  parts: openParts,
  scanner: openScanner,
  storm: openStorm,
}
const REPORT_EVERY = 100

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    seed: { type: 'string', default: String(Date.now() % 1e9) },
    count: { type: 'string', default: 'Infinity' },
    // Of histories.
    operations: { type: 'string', default: '2000' },
    store: { type: 'string' },
  },
})
const begin = Number(values.seed)
const count = Number(values.count)
const names = positionals.length > 0 ? positionals : Object.keys(OPEN)
const unknown = names.find((name) => !Object.hasOwn(OPEN, name))
if (unknown !== undefined) throw new Error(`There is ${Object.keys(OPEN).join(' and ')}, and no ${unknown}`)

await using opened = new AsyncDisposableStack()
const all: Fuzz[] = []
for (const name of names) all.push(opened.use(await (OPEN[name] as () => Promise<Fuzz>)()))
for (let seed = begin; seed < begin + count; seed++) {
  for (const fuzz of all) await fuzz.check(seed)
  if ((seed - begin) % REPORT_EVERY === REPORT_EVERY - 1) process.stdout.write(`to seed ${seed}: ${told()}\n`)
}
process.stdout.write(`no difference: ${told()}\n`)

function storeOf(name: string | undefined): 'file' | 's3' | undefined {
  return name === 'file' || name === 's3' ? name : undefined
}

function told(): string {
  return all.map((fuzz) => fuzz.told()).join('; ')
}
