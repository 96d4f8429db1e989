/** `npm run test:explorer-long`: what takes minutes. Needs a real S3 server, as `test/support` finds one. */
import assert from 'node:assert/strict'
import { s3 } from '../support/services.ts'
import { describeLargeState } from './large-state.ts'

const service = await s3()
assert.ok(!('unavailable' in service), 'unavailable' in service ? service.unavailable : '')

await describeLargeState('a state of 1 GiB in object storage, in the explorer', {
  items: 17_500_000,
  leastBytes: 1024 ** 3,
  scrolls: 2000,
  s3: service,
})
