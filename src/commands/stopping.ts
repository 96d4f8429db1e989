import type { Logger } from '../log.ts'
import { StartError } from './start-error.ts'

/** Fires when the process is told to stop. */
export function stopSignal(log: Logger): AbortSignal {
  const controller = new AbortController()
  listenForStop(log).then(() => controller.abort(new StartError('Stopped. Run it again, and it goes on from here.')))
  return controller.signal
}

// The last one comes when the terminal is closed.
const SIGNALS: readonly NodeJS.Signals[] = ['SIGTERM', 'SIGINT', 'SIGHUP']

/** Resolves when the process is told to stop, with the signal, or is in a state that nobody foresaw; a second signal ends it at once. */
export async function listenForStop(log: Logger, signals = SIGNALS): Promise<string> {
  return await new Promise<string>((resolve) => {
    let told = false
    for (const signal of signals) {
      process.on(signal, () => {
        if (told) process.exit(1)
        told = true
        resolve(signal)
      })
    }
    for (const event of ['uncaughtException', 'unhandledRejection'] as const) {
      process.once(event, (error: unknown) => {
        log.fatal({ err: error }, event)
        process.exitCode = 1
        setTimeout(() => process.exit(1), 5000).unref()
        resolve(event)
      })
    }
  })
}
