import { startLive } from '../support/live.ts'
import { startServer } from '../support/server.ts'
import { startServices, stopServices } from '../support/start-services.ts'
import { checkStorm } from '../support/storm.ts'
import type { Fuzz } from './run.ts'

const MILLIS = 60_000

/** A minute of writers and watchers, and what each was told beside what is in the table. */
export async function openStorm(): Promise<Fuzz> {
  await using cleanup = new AsyncDisposableStack()
  await startServices()
  cleanup.defer(stopServices)
  const server = cleanup.use(await startServer())
  const live = cleanup.use(startLive(server))
  const total = { captures: 0, returns: 0 }
  const owned = cleanup.move()
  return {
    async check(seed) {
      const { captures, returns } = await checkStorm({ server, live, seed, millis: MILLIS })
      total.captures += captures
      total.returns += returns
    },
    told: () => `${total.captures} captures, ${total.returns} returns of who watched`,
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  }
}
