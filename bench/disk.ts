import { parseArgs } from 'node:util'
import { startDatabase, withClient } from './lib/database.ts'
import { describeMachine, endPart, note, print, printTable } from './lib/report.ts'
import { withSession } from './lib/session.ts'

/*
 * What states take on the disk of PostgreSQL: `npm run bench:disk`. Rows come by the function that a capture calls, twenty to a run, each a
 * step's own; then each table is measured with its indexes. The sizes are exact, so one round is enough.
 */
const { values } = parseArgs({
  options: {
    states: { type: 'string', default: '10000,100000' },
    write: { type: 'boolean', default: false },
  },
})
const STEPS = 20

interface Kind {
  readonly name: string
  /** SQL for the payload and the URI of the i-th state. */
  readonly payload: string
  readonly uri: string
}

/** Hexadecimal digits, of which half can be compressed away: JSON of messages compresses better, embeddings worse. */
const textOf = (digits: number) =>
  `json_build_object('text', (select string_agg(md5(i::text || j), '') from generate_series(1, ${digits / 32}) j))`

const KINDS: readonly Kind[] = [
  { name: 'inline, 2 KB', payload: textOf(1984), uri: 'null::text' },
  { name: 'inline, 100 bytes', payload: textOf(96), uri: 'null::text' },
  { name: 'in a store, of any size', payload: 'null::json', uri: "'file:///snapshots/' || gen_random_uuid()" },
]

/** The arguments of `statelens_capture` in their order. */
const FILL = ({ payload, uri }: Kind) => `
  with states as materialized (
    select i, gen_random_uuid() as id, ${uri} as uri, ${payload} as payload from generate_series($1::int, $2::int) i
  ), objects as (
    insert into statelens_objects (storage_uri, snapshot_id) select uri, id from states where uri is not null returning 1
  )
  select i, id, uri, payload::text from states, (select count(*) from objects) o`

const CAPTURE = `
  select count(*) from unnest($1::int[], $2::uuid[], $3::text[], $4::text[]) s(i, id, uri, payload)
  cross join lateral statelens_capture(s.id, 'run ' || s.i / ${STEPS}, 'step ' || s.i % ${STEPS}, 1, 'CHECKPOINT', false, false, '{}',
    null, null, null, null, false, sha256(s.payload::bytea), s.payload::json, s.uri, 2000, sha256(s.id::text::bytea),
    left(coalesce(s.payload, repeat(s.id::text, 30)), 1024), 'application/json', 'identity', 2000,
    case when s.uri is not null then sha256(s.id::text::bytea) end, 1048576,
    case when s.uri is not null then sha256(s.id::text::bytea) end, null) c`

const SIZES = `
  select coalesce(sum(pg_total_relation_size(c.oid)), 0)::bigint as bytes,
    coalesce(sum(pg_indexes_size(c.oid)), 0)::bigint as index_bytes
  from pg_class c where relkind = 'r' and (relname = 'state_snapshots' or starts_with(relname, 'statelens_'))`

const BATCH = 2000

async function measure(url: string, kind: Kind, counts: readonly number[]): Promise<readonly string[][]> {
  return await withClient(url, async (client) => {
    await client.query('set synchronous_commit = off')
    const size = async () => {
      await client.query('vacuum analyze')
      const { rows } = await client.query<{ bytes: string; index_bytes: string }>(SIZES)
      return { bytes: Number(rows[0]?.bytes), indexBytes: Number(rows[0]?.index_bytes) }
    }
    await client.query(
      'truncate state_snapshots, statelens_runs, statelens_steps, statelens_objects, statelens_tombstones',
    )
    const empty = await size()
    const rows: string[][] = []
    let done = 0
    for (const count of counts) {
      for (; done < count; done += BATCH) {
        const filled = await client.query(FILL(kind), [done, done + BATCH - 1])
        const columns = ['i', 'id', 'uri', 'payload'].map((name) => filled.rows.map((row) => row[name]))
        await client.query(CAPTURE, columns)
      }
      const now = await size()
      const each = (now.bytes - empty.bytes) / count
      const share = (now.indexBytes - empty.indexBytes) / (now.bytes - empty.bytes)
      rows.push([kind.name, count.toLocaleString('en'), each.toFixed(0), `${(share * 100).toFixed(0)} %`])
    }
    return rows
  })
}

await withSession(async (session) => {
  const url = await startDatabase(session)
  const counts = values.states.split(',').map(Number)
  const rows: string[][] = []
  for (const kind of KINDS) {
    note(kind.name)
    rows.push(...(await measure(url, kind, counts)))
  }
  print(await describeMachine([`${STEPS} steps a run, a state each`]))
  print()
  printTable(['state', 'states', 'bytes each, with its step and its share of a run', 'of that indexes'], rows)
  await endPart('disk', values)
})
