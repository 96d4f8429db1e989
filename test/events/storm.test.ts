import assert from 'node:assert/strict'
import { it } from 'node:test'
import { startLive } from '../support/live.ts'
import { startServer } from '../support/server.ts'
import { checkStorm } from '../support/storm.ts'

it('fifty who come and go are each told of exactly what twelve writers commit; `npm run fuzz -- storm` takes longer', async () => {
  await using server = await startServer()
  await using live = startLive({ ...server, maxEvents: 200 })
  const { captures, returns } = await checkStorm({ server, live, seed: 1, millis: 4000 })
  assert.ok(captures > 0 && returns >= 50, `${captures} captures, ${returns} returns`)
})
