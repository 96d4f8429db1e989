import { writeFileSync } from 'node:fs'
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'

/*
 * Loaded before a server (`--import`): on SIGUSR2 it writes into a file how long the event loop was held since the last time, in
 * milliseconds, and what memory is left once it has freed what nobody needs, so that growth is told from garbage.
 */
export const GAUGE_FILE_VARIABLE = 'GAUGE_FILE'

setFlagsFromString('--expose-gc')
const collect: () => void = runInNewContext('gc')

const delays = monitorEventLoopDelay({ resolution: 1 })
delays.enable()

process.on('SIGUSR2', () => {
  const loop = { p99: delays.percentile(99) / 1e6, max: delays.max / 1e6 }
  collect()
  delays.reset()
  writeFileSync(process.env[GAUGE_FILE_VARIABLE] ?? '', JSON.stringify({ ...process.memoryUsage(), loop }))
})
