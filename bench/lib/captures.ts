import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { join } from 'node:path'
import { printBarsOf } from './bars.ts'
import { withClient } from './database.ts'
import { graphqlRequest, type Request, sendOnce } from './load.ts'
import type { PartContext } from './parts.ts'
import { type ServerProcess, startServer } from './processes.ts'
import { note, print } from './report.ts'
import { countRoundTrips } from './round-trips.ts'
import { takeTurns } from './rounds.ts'
import type { Store } from './shared.ts'
import { measureLoad, warmUp } from './small-queries.ts'
import { cheapest, cpuRatios, createResults, printResults } from './small-results.ts'

/** One state on its way in. No two have the same step, so each makes one, and every twentieth a run. */
interface NewState {
  readonly runId: string
  readonly stepId: string
  readonly key: string
  readonly state: string
}

interface Producer {
  readonly name: string
  readonly server: ServerProcess
  readonly request: (state: NewState) => Request
  /** Where a row of it can be looked up: whether run, step and digest are kept along with the state. */
  readonly table: 'state_snapshots' | 'bench_states'
}

const QUERY = 'Q5'
const NAMES = {
  limit: 'hand-written: PUT',
  put: 'statelens: PUT',
  mutation: 'statelens: mutation',
  postgraphile: 'PostGraphile: one row',
  mercurius: 'Mercurius: one row',
}
const PEERS = [NAMES.postgraphile, NAMES.mercurius]
const STEPS_PER_RUN = 20
const WARM_UP_CAPTURES = 30_000
const PEER_FOLDER = join(import.meta.dirname, '..', 'peers')
const STATELENS = ['src/main.ts', 'serve']
const HAND_WRITTEN = [join(PEER_FOLDER, 'hand-written-capture.ts')]

const MUTATION = `mutation Capture($input: CaptureSnapshotInput!) {
  captureSnapshot(input: $input) { created snapshot { snapshotId seq sizeBytes digest } } }`
const CREATE_ROW = {
  postgraphile: `mutation Capture($runId: String!, $stepId: String!, $state: JSON!) {
    createBenchState(input: { benchState: { runId: $runId, stepId: $stepId, state: $state } }) {
      benchState { id: rowId createdAt } } }`,
  mercurius: `mutation Capture($runId: String!, $stepId: String!, $state: JSON!) {
    createState(runId: $runId, stepId: $stepId, state: $state) { id createdAt } }`,
}

const putRequest = ({ runId, stepId, key, state }: NewState): Request => ({
  path: `/runs/${runId}/steps/${stepId}/snapshot`,
  method: 'PUT',
  headers: { 'idempotency-key': key },
  body: state,
})
/** The state's own text stands in the question, as a client that holds a value writes it. */
const mutationRequest = ({ runId, stepId, key, state }: NewState) =>
  graphqlRequest(
    `{"query":${JSON.stringify(MUTATION)},"operationName":"Capture","variables":{"input":{"runId":"${runId}","stepId":"${stepId}","idempotencyKey":"${key}","payload":${state}}}}`,
  )
const rowRequest =
  (query: string) =>
  ({ runId, stepId, state }: NewState) =>
    graphqlRequest(
      `{"query":${JSON.stringify(query)},"operationName":"Capture","variables":{"runId":"${runId}","stepId":"${stepId}","state":${state}}}`,
    )

/** Captures of 2 KB, beside a server without GraphQL that promises the same, and mutations that store one row. */
export async function captures(context: PartContext): Promise<void> {
  const { session, shared, form } = context
  const { url, env } = await shared.seededStore()
  const template = await readState(url)
  const producers = await startProducers(context, env)
  note('Comparing what all of them store …')
  for (const producer of producers) await proveStored(producer, { url, template })
  const trips = await countTrips(context, { store: env, template })
  const results = createResults()
  await takeTurns(producers, { rounds: form.rounds, warmUps: 1 }, async (producer, round) => {
    session.throwIfOver()
    const nextRequest = createStates(template, `${round}-${producers.indexOf(producer)}`)
    const load = { nextRequest: () => producer.request(nextRequest()), leastBytes: 50 }
    if (round < 0) await warmUp(producer.server, form, { ...load, most: WARM_UP_CAPTURES })
    else results.add(QUERY, producer.name, await measureLoad(producer.server, form, load))
  })
  print(
    `Each capture has a key and a step of its own, every twentieth a new run; ${form.connections} connections, turns of ${form.seconds} s.`,
  )
  print()
  printResults(results, { servers: Object.values(NAMES), queries: [QUERY], baseline: NAMES.limit })
  const peer = cheapest(results, QUERY, PEERS)
  printBarsOf(
    'Bars, by server CPU for each capture',
    (['mutation', 'put'] as const).flatMap((way) => [
      { bar: `Q5.${way}.limit`, values: cpuRatios(results, QUERY, { above: NAMES[way], below: NAMES.limit }) },
      { bar: `Q5.${way}.peer`, values: cpuRatios(results, QUERY, { above: peer, below: NAMES[way] }) },
      { bar: `Q5.${way}.trips`, values: [trips[way] - trips.limit] },
    ]),
  )
}

async function startProducers({ session, pin }: PartContext, store: Store['env']): Promise<Producer[]> {
  const start = async (name: string, args: readonly string[]) =>
    startServer(session, pin, {
      name,
      args,
      env: { ...store, PORT: '0', DATA_DIR: await session.folder() },
    })
  // Two processes: what the one learns of mutations would not be there in a server that gets only PUTs.
  const captured = { table: 'state_snapshots' } as const
  const row = { table: 'bench_states' } as const
  const peer = (file: string) => [join(PEER_FOLDER, file)]
  return [
    { ...captured, name: NAMES.limit, server: await start('hand-written', HAND_WRITTEN), request: putRequest },
    { ...captured, name: NAMES.put, server: await start('statelens', STATELENS), request: putRequest },
    { ...captured, name: NAMES.mutation, server: await start('statelens', STATELENS), request: mutationRequest },
    {
      ...row,
      name: NAMES.postgraphile,
      server: await start('PostGraphile', peer('postgraphile.ts')),
      request: rowRequest(CREATE_ROW.postgraphile),
    },
    {
      ...row,
      name: NAMES.mercurius,
      server: await start('Mercurius', peer('mercurius.ts')),
      request: rowRequest(CREATE_ROW.mercurius),
    },
  ]
}

/** One of the states that were seeded. */
async function readState(url: string): Promise<string> {
  const { rows } = await withClient(url, (client) =>
    client.query('select snapshot::text as state from state_snapshots where snapshot is not null order by seq limit 1'),
  )
  return rows[0].state
}

/** The same states in the same order for the same name. */
function createStates(template: string, name: string): () => NewState {
  let count = 0
  return () => {
    const place = count++
    const stepId = `step-${place % STEPS_PER_RUN}`
    return {
      runId: `capture-${name}-${Math.floor(place / STEPS_PER_RUN)}`,
      stepId,
      key: `${name}-${place}`,
      state: `{"place":${place},${template.slice(1)}`,
    }
  }
}

/**
 * Whether a state is there with its bytes, its digest, its run and step; whether it is stored once when it comes again, and refused
 * with other content. Of one row: whether it is there.
 */
async function proveStored(
  { name, server, request, table }: Producer,
  { url, template }: { readonly url: string; readonly template: string },
): Promise<void> {
  const state = createStates(template, `proof-${name.replaceAll(/\W/g, '')}`)()
  const send = async (change: Partial<NewState> = {}) => {
    const { status, text } = await sendOnce(server.origin, request({ ...state, ...change }))
    return { status, text, code: /"code":"(\w+)"/.exec(text)?.[1] }
  }
  const first = await send()
  assert.ok(first.status < 300 && first.code === undefined, `${name}: ${first.status} ${first.text}`)
  const rows = (text: string) =>
    withClient(url, async (client) => (await client.query(text, [state.runId, state.stepId])).rows)
  if (table === 'bench_states') {
    const [row] = await rows('select state::text from bench_states where run_id = $1 and step_id = $2')
    assert.deepEqual(JSON.parse(row.state), JSON.parse(state.state), name)
    return
  }
  const again = await send()
  assert.match(again.text, /"created":false/, `${name}: a repetition`)
  const other = await send({ state: '{"other":true}' })
  assert.equal(other.code, 'CONFLICT', `${name}: other content under the same key`)
  const stored = await rows(
    `select payload::text as state, encode(content_digest, 'hex') as digest, size_bytes::int as size from state_snapshots s
     join statelens_runs using (run_id) join statelens_steps using (run_id, step_id) where run_id = $1 and step_id = $2`,
  )
  const digest = createHash('sha256').update(state.state).digest('hex')
  assert.deepEqual(stored, [{ state: state.state, digest, size: Buffer.byteLength(state.state) }], name)
}

const COUNTED = 200

/** Round trips to PostgreSQL for a capture, one after the other. */
async function countTrips(
  { session, pin }: PartContext,
  { store, template }: { readonly store: Store['env']; readonly template: string },
): Promise<Record<'limit' | 'put' | 'mutation', number>> {
  const count = async (name: string, args: readonly string[], toRequest: (state: NewState) => Request) => {
    const database = await countRoundTrips(session, store.DATABASE_URL)
    const env = { ...store, DATABASE_URL: database.url, PORT: '0', DATA_DIR: await session.folder() }
    const { origin } = await startServer(session, pin, { name, args, env })
    const next = createStates(template, `trips-${name}`)
    const send = async () => {
      const { status, text } = await sendOnce(origin, toRequest(next()))
      if (status >= 300 || text.includes('"errors"')) throw new Error(`${name}: ${status} ${text}`)
    }
    // A connection's first statements are its own.
    for (let warmUp = 0; warmUp < 20; warmUp++) await send()
    const before = database.roundTrips()
    for (let counted = 0; counted < COUNTED; counted++) await send()
    // What runs beside the captures, once in a while, is not theirs.
    return Math.round((database.roundTrips() - before) / COUNTED)
  }
  return {
    limit: await count('hand-written', HAND_WRITTEN, putRequest),
    put: await count('put', STATELENS, putRequest),
    mutation: await count('mutation', STATELENS, mutationRequest),
  }
}
