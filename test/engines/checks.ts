import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { runVerify } from '../../src/commands/verify.ts'
import { readConfig } from '../../src/config.ts'
import { begin, commit, sendAll } from '../graphql/uploads-fixture.ts'
import { capture, dataOf, payloadBytes } from '../support/answers.ts'
import { put, storedOf } from '../support/put.ts'
import type { TestServer } from '../support/server.ts'
import { watchBy } from '../support/watching.ts'

/** A state of about this many bytes, whose text is not compressed away. */
export function stateOf(sizeBytes: number): Buffer {
  return Buffer.from(JSON.stringify({ text: randomBytes(sizeBytes / 2).toString('hex') }))
}

/** Captures by each way, and the same ones again; each comes back byte for byte, past every cache as well. @returns the ids. */
export async function checkCaptures(server: TestServer, largeBytes: number): Promise<readonly string[]> {
  await dataOf(
    server.graphql('mutation { upsertRun(input: {runId: "run", workflowName: "w", status: RUNNING}) { id } }'),
  )
  const small = { runId: 'run', stepId: 'small', payload: { n: 1.5, text: 'é 東京' }, idempotencyKey: 'key' }
  const first = await capture(server, small)
  assert.ok(first.created)
  const again = await capture(server, small)
  assert.deepEqual([again.created, again.snapshot.snapshotId], [false, first.snapshot.snapshotId])
  const large = stateOf(largeBytes)
  const stored = storedOf(await put(server.url, large, { runId: 'run', stepId: 'large' }))
  assert.equal(stored.storageTier, 'OBJECT')
  const announced = stateOf(largeBytes)
  const ticket = await begin(server, announced, { stepId: 'announced' })
  await sendAll(ticket, announced)
  const uploaded = await commit(server, ticket)
  const ids = [first.snapshot.snapshotId, stored.snapshotId, uploaded.snapshot.snapshotId]
  const [, , third = ''] = ids
  assert.equal((await payloadBytes(server, ids[0] ?? '')).toString(), '{"n":1.5,"text":"é 東京"}')
  assert.ok((await payloadBytes(server, stored.snapshotId)).equals(large))
  assert.ok((await bytesAt(`${server.url}/snapshots/${third}/payload`)).equals(announced))
  const range = await fetch(`${server.url}/snapshots/${third}/payload`, { headers: { range: 'bytes=10-29' } })
  assert.deepEqual([range.status, await range.text()], [206, announced.subarray(10, 30).toString()])
  const text = `{ snapshotById(snapshotId: "${third}") { signedUrl(expiresIn: 60) integrity(verify: true) } }`
  const { snapshotById } = await dataOf(
    server.graphql<{ snapshotById: { signedUrl: string; integrity: string } }>(text),
  )
  assert.equal(snapshotById.integrity, 'VERIFIED')
  assert.ok((await bytesAt(snapshotById.signedUrl)).equals(announced))
  return ids
}

async function bytesAt(url: string): Promise<Buffer> {
  const response = await fetch(url)
  assert.equal(response.status, 200)
  return Buffer.from(await response.arrayBuffer())
}

/** Pages of each list, in both directions, and counts that fit. */
export async function checkLists(server: TestServer): Promise<void> {
  for (let n = 0; n < 5; n++) await capture(server, { runId: `list ${n}`, stepId: `step ${n}`, payload: n })
  const page = '{ totalCount pageInfo { endCursor hasNextPage } edges { node { runId } } }'
  const runs = async (args: string) => {
    const { runs: found } = await dataOf(server.graphql<{ runs: Page }>(`{ runs(${args}) ${page} }`))
    return found
  }
  const first = await runs('first: 2, filter: {search: "list"}, orderBy: CREATED_ASC')
  const second = await runs(
    `first: 3, filter: {search: "list"}, orderBy: CREATED_ASC, after: "${first.pageInfo.endCursor}"`,
  )
  const names = [...first.edges, ...second.edges].map(({ node }) => node.runId)
  assert.deepEqual(
    names,
    [0, 1, 2, 3, 4].map((n) => `list ${n}`),
  )
  assert.equal((await runs('first: 1, filter: {status: [RUNNING]}')).totalCount, 1)
  assert.equal((await runs('last: 1, filter: {workflowName: "w"}')).edges[0]?.node.runId, 'run')
  const inRun = `{ run(runId: "run") { stats { snapshotCount } steps(first: 9) { totalCount }
    snapshots(last: 2, orderBy: SEQ_DESC) { edges { node { seq } } } } }`
  const { run } = await dataOf(server.graphql<{ run: Record<string, Record<string, unknown>> }>(inRun))
  assert.deepEqual([run['stats']?.['snapshotCount'], run['steps']?.['totalCount']], [3, 3])
}

interface Page {
  readonly totalCount: number
  readonly pageInfo: { readonly endCursor: string; readonly hasNextPage: boolean }
  readonly edges: readonly { readonly node: { readonly runId: string } }[]
}

/** A capture is told to who watches its run. */
export async function checkEvents(server: TestServer): Promise<void> {
  const text = 'subscription { runEvents(runId: "watched") { __typename } }'
  await using watching = await watchBy('SSE', server.url, text)
  await watching.until('CaughtUp')
  await capture(server, { runId: 'watched', payload: 1 })
  await watching.until('SnapshotCaptured')
}

/** `statelens verify` of all that is there. */
export async function checkVerify(server: TestServer, env: Readonly<Record<string, string>> = {}): Promise<void> {
  const { databaseUrl, storagePath } = server
  const settings = { DATABASE_URL: databaseUrl, SNAPSHOT_STORAGE_PATH: storagePath, ...env }
  const told: string[] = []
  const output = { write: (text: string) => told.push(text) }
  const config = { ...readConfig(settings), databaseUrl }
  assert.equal(await runVerify({ config, args: {}, output, signal: new AbortController().signal }), 0, told.join(''))
}
