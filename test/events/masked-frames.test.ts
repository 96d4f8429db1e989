import assert from 'node:assert/strict'
import { it } from 'node:test'
import type { Viewer } from '../../src/auth/viewer.ts'
import { isEventStream } from '../../src/graphql/event-stream.ts'
import { parsePolicies } from '../../src/snapshots/policies.ts'
import { freshDatabase } from '../support/database.ts'
import { createSubscriber, isCaughtUp, startLive } from '../support/live.ts'
import { query } from '../support/rows.ts'

it('an event that one has read already comes to the next masked by what the policy says since', async () => {
  await using database = await freshDatabase()
  let policies = parsePolicies('{"p": ["/a"]}').value
  await using live = startLive({ databaseUrl: database.url, policies: () => policies })
  const watch = async (name: string) => {
    const viewer: Viewer = { name, scopes: new Set(['read']), mode: 'token' }
    const text = `subscription { runEvents(runId: "r") { __typename ... on SnapshotCaptured { snapshot { preview } } } }`
    const stream = await live.ask(text, {}, { viewer })
    assert.ok(isEventStream(stream))
    const subscriber = createSubscriber(stream)
    await subscriber.until(isCaughtUp)
    return subscriber
  }
  const [first, second] = [await watch('one'), await watch('two')]
  await query(
    database.url,
    `insert into state_snapshots (run_id, snapshot, preview, pii_tags, redaction_policy, request_digest)
     values ('r', '{"a":1,"b":2}', '{"a":1,"b":2}', '{x}', 'p', '\\x00')`,
  )
  const previewOf = async ({ until }: typeof first) => {
    const told = await until(({ event }) => event.__typename === 'SnapshotCaptured')
    return JSON.stringify(told.at(-1)?.event['snapshot'])
  }
  assert.equal(await previewOf(first), JSON.stringify({ preview: '{"a":"[redacted]"…' }))
  policies = parsePolicies('{"p": [""]}').value
  assert.equal(await previewOf(second), JSON.stringify({ preview: '"[redacted]"…' }))
  await Promise.all([first, second].map(({ stream }) => stream.return()))
})
