/** Runs `validation.mts`, and ends with 1 where it fails: its own command line does not find the files of its package. */
import { fileURLToPath } from 'node:url'
import { startVitest } from 'vitest/node'

const file = fileURLToPath(new URL('validation.mts', import.meta.url))
const vitest = await startVitest('test', [file], {
  globals: true,
  include: [file],
  exclude: [],
  watch: false,
  testTimeout: 60_000,
})
await vitest.close()
