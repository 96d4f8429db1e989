import assert from 'node:assert/strict'
import { it } from 'node:test'
import { serverAudits } from 'graphql-http'
import { startServer } from '../support/server.ts'

it('holds to all that GraphQL over HTTP has a server do, may and should as well as must', async () => {
  await using server = await startServer()
  const audits = serverAudits({ url: `${server.url}/graphql`, fetchFn: fetch })
  assert.ok(audits.length >= 61)
  const short: string[] = []
  for (const audit of audits) {
    const result = await audit.fn()
    if (result.status !== 'ok') short.push(`${audit.id} ${audit.name}: ${result.reason}`)
  }
  assert.deepEqual(short, [])
})
