import { checkRandom, startDifferential } from '../support/differential.ts'
import { CLASSES } from '../support/random-operations.ts'
import { startServices, stopServices } from '../support/start-services.ts'
import type { Fuzz } from './run.ts'

const KINDS = Object.keys(CLASSES) as (keyof typeof CLASSES)[]

/** Random operations, answered by the server and by graphql-js alone. */
export async function openExecutors(): Promise<Fuzz> {
  await using cleanup = new AsyncDisposableStack()
  await startServices()
  cleanup.defer(stopServices)
  const differential = cleanup.use(await startDifferential())
  let compared = 0
  const owned = cleanup.move()
  return {
    async check(seed) {
      for (const kind of KINDS) compared += await checkRandom(differential, { seed, kind })
    },
    told: () => `${compared} answers`,
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  }
}
