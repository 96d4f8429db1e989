import { writeFileSync } from 'node:fs'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'

/*
 * Loaded before a server (`--import`): on SIGUSR2 it frees what nobody needs, and writes what is left into a file, so that growth is
 * told from garbage.
 */
export const GAUGE_FILE_VARIABLE = 'GAUGE_FILE'

setFlagsFromString('--expose-gc')
const collect: () => void = runInNewContext('gc')

process.on('SIGUSR2', () => {
  collect()
  writeFileSync(process.env[GAUGE_FILE_VARIABLE] ?? '', JSON.stringify(process.memoryUsage()))
})
