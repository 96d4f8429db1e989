import { parseArgs } from 'node:util'
import { checkRandom, startDifferential } from '../support/differential.ts'
import { globalSetup, globalTeardown } from '../support/global-setup.ts'
import { CLASSES } from '../support/random-operations.ts'

/*
 * Random operations, answered by the server and by graphql-js alone: `npm run fuzz` goes on until it is stopped or finds a
 * difference; `npm run fuzz -- --count 2000 --seed 1` tries so many of each class.
 */
const { values } = parseArgs({
  options: {
    seed: { type: 'string', default: String(Date.now() % 1e9) },
    count: { type: 'string', default: 'Infinity' },
  },
})
const begin = Number(values.seed)
const kinds = Object.keys(CLASSES) as (keyof typeof CLASSES)[]

await globalSetup()
try {
  await using differential = await startDifferential()
  let compared = 0
  for (let seed = begin; seed < begin + Number(values.count); seed++) {
    for (const kind of kinds) compared += await checkRandom(differential, { seed, kind })
    if ((seed - begin) % 100 === 99) process.stdout.write(`${seed - begin + 1} of each class, ${compared} answers\n`)
  }
  process.stdout.write(`no difference in ${compared} answers\n`)
} finally {
  await globalTeardown()
}
