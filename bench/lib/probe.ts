import { monitorEventLoopDelay } from 'node:perf_hooks'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'

/*
 * Loaded before a server that is measured (`--import`). Whenever its parent asks, it frees what nobody needs any more, so that growth
 * is told from something firm, or tells how long the event loop was held at most since it was asked last, in milliseconds.
 */
export type Asked = 'collect' | 'give back' | 'held loop'

setFlagsFromString('--expose-gc')
const collect: (how?: object) => void = runInNewContext('gc')
/** Also moves what is left together, so that what is free can be given back to the system. */
const GIVE_BACK = { type: 'major', execution: 'sync', flavor: 'last-resort' }
const delays = monitorEventLoopDelay({ resolution: 1 })
delays.enable()

process.on('message', (asked: Asked) => {
  if (asked === 'collect') collect()
  if (asked === 'give back') collect(GIVE_BACK)
  process.send?.({ max: delays.max / 1e6, p99: delays.percentile(99) / 1e6 })
  delays.reset()
})
// The server decides when it ends.
process.channel?.unref()
