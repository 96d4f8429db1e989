import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { after, before, describe, it } from 'node:test'
import fc from 'fast-check'
import pg from 'pg'
import { createDatabase, type Database } from '../../src/db/connect.ts'
import { pageSnapshots } from '../../src/db/queries/snapshot-lists.ts'
import type { PageRequest } from '../../src/model/page.ts'
import { SNAPSHOT_METADATA, type SnapshotFilter } from '../../src/model/snapshot.ts'
import { dataOf } from '../support/answers.ts'
import { type FreshDatabase, freshDatabase } from '../support/database.ts'
import { put } from '../support/put.ts'
import { query } from '../support/rows.ts'
import { startServer } from '../support/server.ts'
import { temporaryFolder } from '../support/tmp.ts'

const WRITERS = 4
const HISTORIES = Number(process.env['HISTORIES'] ?? 40)

type Step =
  | { readonly do: 'write'; readonly writer: number; readonly rows: number; readonly kind: string }
  | { readonly do: 'write and take back'; readonly writer: number; readonly rows: number }
  | { readonly do: 'commit' | 'roll back'; readonly writer: number }
  | { readonly do: 'read'; readonly size: number }

const writer = fc.nat(WRITERS - 1)
const rows = fc.integer({ min: 1, max: 7 })
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({ do: fc.constant('write'), writer, rows, kind: fc.constantFrom('INPUT', 'OUTPUT') }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('write and take back'), writer, rows }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('commit'), writer }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('roll back'), writer }) },
  { weight: 4, arbitrary: fc.record({ do: fc.constant('read'), size: fc.integer({ min: 1, max: 4 }) }) },
) as fc.Arbitrary<Step>

const FILTERS: readonly SnapshotFilter[] = [
  {},
  { kind: ['OUTPUT'] },
  { kind: ['INPUT', 'OUTPUT'], isGolden: false },
  { stepId: 'step' },
  { createdFrom: '2000-01-01T00:00:00Z', kind: ['OUTPUT'] },
]

describe('who reads on behind a place', () => {
  let database: FreshDatabase
  let db: Database
  const clients: pg.Client[] = []
  let runs = 0

  before(async () => {
    database = await freshDatabase()
    db = createDatabase({ url: database.url })
    for (let i = 0; i < WRITERS; i++) {
      const client = new pg.Client({ connectionString: database.url })
      await client.connect()
      clients.push(client)
    }
  })
  after(async () => {
    await Promise.all(clients.map((client) => client.end()))
    await db.close()
    await database.drop()
  })

  async function readOn(runId: string, place: readonly string[] | null, size: number, filter: SnapshotFilter) {
    const page: PageRequest = { size, backward: false, after: place, before: null, wantsEnds: true, wantsTotal: false }
    const options = { page, filter, order: 'SEQ_ASC', fields: SNAPSHOT_METADATA, wantsPlaces: true } as const
    const [found] = await pageSnapshots(db, [{ runId }], options)
    assert.ok(found?.places)
    assert.equal(found.items.length, found.places.length)
    return { ...found, places: found.places }
  }

  it('gets every snapshot once, in whatever order writers commit', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(step, { minLength: 5, maxLength: 40 }),
        fc.constantFrom(...FILTERS),
        async (steps, filter) => {
          const runId = `run ${runs++}`
          const open = new Set<number>()
          const seen: string[] = []
          let place: readonly string[] | null = null
          const write = async (client: pg.Client | undefined, count: number, kind: string) => {
            await client?.query(
              `insert into state_snapshots (run_id, step_id, kind, snapshot)
             select $1, 'step', $2, '1' from generate_series(1, $3::int)`,
              [runId, kind, count],
            )
          }
          const read = async (size: number) => {
            const { items, places, hasNextPage } = await readOn(runId, place, size, filter)
            seen.push(...items.map(({ snapshotId }) => snapshotId))
            place = places.at(-1) ?? place
            return hasNextPage
          }
          for (const one of steps) {
            if (one.do === 'read') {
              await read(one.size)
              continue
            }
            const client = clients[one.writer]
            if (one.do === 'write' || one.do === 'write and take back') {
              if (!open.has(one.writer)) await client?.query('begin')
              open.add(one.writer)
              if (one.do === 'write') await write(client, one.rows, one.kind)
              else {
                await client?.query('savepoint here')
                await write(client, one.rows, 'OUTPUT')
                await client?.query('rollback to here')
              }
            } else if (open.delete(one.writer)) await client?.query(one.do === 'commit' ? 'commit' : 'rollback')
          }
          for (const left of open) await clients[left]?.query('commit')
          while (await read(3));
          const whole = await readOn(runId, null, 1000, filter)
          assert.deepEqual(seen.toSorted(), whole.items.map(({ snapshotId }) => snapshotId).toSorted())
        },
      ),
      { numRuns: HISTORIES },
    )
  })

  it('gets none twice whose number is behind it, and walks only what turned up', async () => {
    const [early, late] = clients
    await early?.query('begin')
    await early?.query("insert into state_snapshots (run_id, snapshot) values ('few', '1')")
    await late?.query("insert into state_snapshots (run_id, snapshot) select 'few', '1' from generate_series(1, 500)")
    const first = await readOn('few', null, 100, {})
    await early?.query('commit')
    const place = first.places.at(-1) ?? []
    const second = await readOn('few', place, 100, {})
    assert.ok(BigInt(second.items[0]?.seq ?? 0) < BigInt(first.items[0]?.seq ?? 0))
    assert.equal(new Set([...first.items, ...second.items].map(({ seq }) => String(seq))).size, 200)
  })
})

interface Found {
  readonly run: {
    readonly snapshots: {
      readonly pageInfo: { readonly endCursor: string | null }
      readonly edges: readonly { readonly node: { readonly snapshotId: string } }[]
    }
  } | null
}

it('data 1.6: a reader behind twelve writers misses nothing', async () => {
  await using server = await startServer()
  const CAPTURES = 15
  const capture = `mutation($input: CaptureSnapshotInput!) { captureSnapshot(input: $input) { created } }`
  let writing = true
  const writers = Array.from({ length: 12 }, async (_, w) => {
    for (let i = 0; i < CAPTURES; i++)
      await dataOf(server.graphql(capture, { input: { runId: 'busy', stepId: `s${w}`, payload: i } }))
  })
  const done = Promise.all(writers).finally(() => {
    writing = false
  })
  const page = `query($after: String) { run(runId: "busy") { snapshots(first: 100, after: $after) {
    pageInfo { endCursor } edges { node { snapshotId } } } } }`
  const seen: string[] = []
  let cursor: string | null = null
  for (let isLast = false; !isLast; ) {
    isLast = !writing
    const { run }: Found = await dataOf<Found>(server.graphql(page, { after: cursor }))
    seen.push(...(run?.snapshots.edges ?? []).map(({ node }) => node.snapshotId))
    cursor = run?.snapshots.pageInfo.endCursor ?? cursor
    if ((run?.snapshots.edges.length ?? 0) === 100) isLast = false
  }
  await done
  const stored = await query<{ id: string }>(server.databaseUrl, 'select id from state_snapshots')
  assert.equal(stored.length, 12 * CAPTURES)
  assert.deepEqual(seen.toSorted(), stored.map(({ id }) => id).toSorted())
})

it('a user who may write the tables, and owns nothing, captures as any', async () => {
  await using database = await freshDatabase()
  const role = `writer_${randomUUID().replaceAll('-', '')}`
  const password = randomUUID()
  await query(
    database.url,
    `create role ${role} login password '${password}';
     grant select, insert, update, delete on all tables in schema public to ${role}`,
  )
  try {
    const url = new URL(database.url)
    url.username = role
    url.password = password
    await using folder = await temporaryFolder()
    await using server = await startServer({ store: { databaseUrl: url.href, storagePath: folder.path } })
    assert.equal((await put(server.url, '[1]')).status, 201)
    assert.equal((await put(server.url, `"${'x'.repeat(2_000_000)}"`, { stepId: 'large' })).status, 201)
  } finally {
    await query(database.url, `drop owned by ${role}; drop role ${role}`)
  }
})
