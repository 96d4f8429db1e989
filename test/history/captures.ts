import assert from 'node:assert/strict'
import { gzipSync } from 'node:zlib'
import { openObjects } from '../support/objects.ts'
import { query } from '../support/rows.ts'
import { bytesOf, digestOf } from './contents.ts'
import { exchange, type Reply } from './exchange.ts'
import type { Acknowledged, Attempt } from './model.ts'
import type { Operation, Way } from './operations.ts'
import type { Asked, Stage } from './play.ts'
import { uploadState } from './upload.ts'
import { INLINE_MAX_BYTES } from './world.ts'

/** What came of a capture. */
export type Outcome =
  | ({ readonly kind: 'stored' } & Acknowledged)
  | { readonly kind: 'refused'; readonly code: string }
  | { readonly kind: 'broken'; readonly why: string }

/** GraphQL bodies have at most two MiB. */
const MUTATION_MAX_BYTES = 1_900_000

export async function playCapture(stage: Stage, operation: Operation & { do: 'capture' } & { member: number }) {
  const { run, step, key, content, member } = operation
  const isLarge = content.sizeBytes > MUTATION_MAX_BYTES
  const way = isLarge && operation.way === 'mutation' ? 'put' : operation.way
  const bytes = bytesOf(content)
  const named = { runId: `run ${run}`, stepId: `step ${step}`, content, digest: digestOf(bytes), way }
  if (way === 'old writer' || way === 'foreign') return await insertAsOthers(stage, { ...named, way }, bytes)
  const lifeMillis = way === 'mutation' && key === null ? operation.lifeMillis : null
  const endsAt = lifeMillis === null ? null : performance.now() + lifeMillis
  const attempt = stage.model.begin({ ...named, key: key === null ? null : `key ${key}`, endsAt })
  if (way === 'upload' || way === 'abandoned upload') return await uploadState(stage, attempt, { bytes, member })
  await send(stage, attempt, { bytes, member })
}

/** The same capture again, where it has a key: by another way perhaps, or of another server. */
export async function playRepeat(
  stage: Stage,
  { which, way, member }: Operation & { do: 'repeat' } & { member: number },
) {
  const { model } = stage
  const keyed = model.attempts.filter(({ key, outcome }) => key !== null && outcome !== 'under way')
  const earlier = keyed[which % Math.max(keyed.length, 1)]
  if (!earlier) return
  const { runId, stepId, key, content, digest } = earlier
  const bytes = bytesOf(content)
  const isLarge = bytes.length > MUTATION_MAX_BYTES
  const attempt = model.begin({ runId, stepId, key, content, digest, way: isLarge ? 'put' : way })
  await send(stage, attempt, { bytes, member })
}

interface Sent {
  readonly bytes: Buffer
  readonly member: number
}

/** Sends a capture whole, and holds its outcome to what may come of it. */
export async function send(stage: Stage, attempt: Attempt, { bytes, member }: Sent): Promise<void> {
  const asked = await stage.ask(member)
  const reply = await exchange(
    attempt.way === 'mutation' ? mutationOf(asked, attempt, bytes) : putOf(asked, attempt, bytes),
  )
  settle(stage, attempt, attempt.way === 'mutation' ? readMutation(reply, 'captureSnapshot') : readPut(reply), asked)
}

/** Holds what came of it to what may come of it. @throws AssertionError. */
export function settle(stage: Stage, attempt: Attempt, outcome: Outcome, asked: Asked): void {
  const { model, weather, count } = stage
  count(`capture ${attempt.way}: ${outcome.kind === 'refused' ? outcome.code : outcome.kind}`)
  if (outcome.kind === 'stored') {
    model.acknowledge(attempt, outcome)
    return
  }
  if (outcome.kind === 'refused' && outcome.code === 'CONFLICT') {
    model.conflict(attempt)
    return
  }
  if (outcome.kind === 'broken') {
    attempt.outcome = 'unknown'
    assert.ok(weather.had('kill', asked.member, asked.start), `A connection broke: ${outcome.why}`)
    return
  }
  const { code } = outcome
  // A commit goes on without its caller; where the store has failed nothing was stored.
  attempt.outcome = code.startsWith('DATABASE_') || attempt.way === 'upload' ? 'unknown' : 'refused'
  const touchesObjects = attempt.way === 'upload' || attempt.content.sizeBytes > INLINE_MAX_BYTES
  assert.ok(weather.excuses(code, { ...asked, touchesObjects }), `${code} without a cause: ${JSON.stringify(attempt)}`)
}

const CAPTURE =
  'mutation($input: CaptureSnapshotInput!) { captureSnapshot(input: $input) { created snapshot { snapshotId digest } } }'

/** The payload's own text in the place of a value. */
export function mutationOf({ url }: Asked, { runId, stepId, key, endsAt }: Attempt, bytes: Buffer) {
  const expiresAt = endsAt === null ? null : new Date(Date.now() + endsAt - performance.now()).toISOString()
  const known = JSON.stringify({ runId, stepId, expiresAt, ...(key === null ? {} : { idempotencyKey: key }) })
  const head = `{"query":${JSON.stringify(CAPTURE)},"variables":{"input":${known.slice(0, -1)},"payload":`
  const body = Buffer.concat([Buffer.from(head), bytes, Buffer.from('}}}')])
  return { method: 'POST', url: `${url}/graphql`, headers: { 'content-type': 'application/json' }, body }
}

export function putOf({ url }: Asked, { way, runId, stepId, key }: Attempt, bytes: Buffer) {
  const target = `/runs/${encodeURIComponent(runId)}/steps/${encodeURIComponent(stepId)}/snapshot`
  const headers = {
    'content-type': 'application/json',
    ...(key === null ? {} : { 'idempotency-key': key }),
    ...(way === 'gzip' ? { 'content-encoding': 'gzip' } : {}),
  }
  const body = way === 'gzip' ? gzipSync(bytes) : bytes
  return { method: 'PUT', url: url + target, headers, body, isChunked: way === 'chunked' }
}

export function readPut(reply: Reply): Outcome {
  if (reply.kind === 'broken') return reply
  const answer = JSON.parse(reply.body.toString())
  if (reply.status !== 200 && reply.status !== 201) return { kind: 'refused', code: String(answer.code) }
  return { kind: 'stored', snapshotId: answer.snapshotId, digest: answer.digest, created: answer.created }
}

export function readMutation(reply: Reply, field: string): Outcome {
  if (reply.kind === 'broken') return reply
  const { data, errors } = JSON.parse(reply.body.toString())
  if (errors) return { kind: 'refused', code: String(errors[0].extensions?.code) }
  const { created, snapshot } = data[field]
  return { kind: 'stored', snapshotId: snapshot.snapshotId, digest: snapshot.digest, created }
}

/** As other programs write: past the servers, and what is acknowledged is a commit. */
async function insertAsOthers(
  stage: Stage,
  named: Omit<Attempt, 'key' | 'start' | 'endsAt' | 'outcome'> & { readonly way: Way & ('old writer' | 'foreign') },
  bytes: Buffer,
): Promise<void> {
  const { world, model, foreign, count } = stage
  const { databaseUrl, store } = world
  const attempt = model.begin({ ...named, key: null })
  const root = store.s3 ? `s3://${store.s3.bucket}/` : 'file:///'
  const uri = named.way === 'foreign' ? `${root}others/${foreign.size}-${attempt.start}.json` : null
  if (uri !== null) {
    foreign.set(uri, bytes)
    using objects = openObjects(store)
    await objects.put(uri, bytes)
  }
  const [row] = await query<{ id: string }>(
    databaseUrl,
    'insert into state_snapshots (run_id, step_id, snapshot, storage_uri) values ($1, $2, $3, $4) returning id',
    [named.runId, named.stepId, uri === null ? bytes.toString() : null, uri],
  )
  count(`capture ${named.way}: stored`)
  model.acknowledge(attempt, { snapshotId: row?.id ?? '', digest: null, created: true })
}
