import { createHash, randomUUID } from 'node:crypto'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import pg from 'pg'
import { listen, setting } from '../lib/listen.ts'

/*
 * What a capture costs without GraphQL and without layers: node:http, pg, and one prepared statement, which is one transaction. It
 * promises the same: the run and the step are made where they are not there, the bytes are kept and proved to be JSON (by
 * PostgreSQL), a key that comes again gives what was stored, and a conflict with other content.
 */
const pool = new pg.Pool({ connectionString: setting('DATABASE_URL'), max: 10 })

const CAPTURE = {
  name: 'capture',
  text: `with lock as materialized (select pg_advisory_xact_lock_shared(hashtextextended($2, 0))),
    run as (insert into statelens_runs (run_id) select $2 from lock on conflict do nothing),
    step as (insert into statelens_steps (run_id, step_id) select $2, $3 from lock on conflict do nothing)
    insert into state_snapshots (seq, id, run_id, step_id, is_success_state, replay_safe, idempotency_key, request_digest, payload,
      storage_state, size_bytes, content_digest, preview)
    select statelens_next_seq(), $1, $2, $3, false, false, $4, $5, $6, 'AVAILABLE', $7, $8, $9 from lock
    where not exists (select from statelens_tombstones
      where run_id = $2 and coalesce(step_id, '') = $3 and idempotency_key = $4)
    on conflict do nothing returning id, seq`,
}
const EARLIER = {
  name: 'earlier',
  text: `select id, seq, request_digest from state_snapshots
    where run_id = $1 and coalesce(step_id, '') = $2 and idempotency_key = $3`,
}

interface Capture {
  readonly runId: string
  readonly stepId: string
  readonly key: string
  readonly body: Buffer
}

interface Answer {
  readonly status: number
  readonly value: unknown
}

const sha256 = (data: Buffer) => createHash('sha256').update(data).digest()

async function capture({ runId, stepId, key, body }: Capture): Promise<Answer> {
  const digest = sha256(body)
  const requestDigest = sha256(Buffer.concat([Buffer.from(JSON.stringify([runId, stepId])), digest]))
  const text = body.toString()
  const preview = text.length <= 1021 ? text : `${text.slice(0, 1021)}…`
  const values = [randomUUID(), runId, stepId, key, requestDigest, text, body.length, digest, preview]
  const stored = (await pool.query({ ...CAPTURE, values })).rows[0]
  const known = {
    runId,
    stepId,
    sizeBytes: body.length,
    digest: `sha256:${digest.toString('hex')}`,
    storageTier: 'INLINE',
  }
  if (stored) return { status: 201, value: { snapshotId: stored.id, seq: stored.seq, ...known, created: true } }
  const earlier = (await pool.query({ ...EARLIER, values: [runId, stepId, key] })).rows[0]
  if (!earlier?.request_digest?.equals(requestDigest)) return { status: 409, value: { code: 'CONFLICT' } }
  return { status: 200, value: { snapshotId: earlier.id, seq: earlier.seq, ...known, created: false } }
}

function handle(request: IncomingMessage, response: ServerResponse): void {
  const [, runId, stepId] = /^\/runs\/([^/]+)\/steps\/([^/]+)\/snapshot$/.exec(request.url ?? '') ?? []
  const key = request.headers['idempotency-key']
  if (runId === undefined || stepId === undefined || typeof key !== 'string') {
    response.writeHead(400).end()
    return
  }
  const chunks: Buffer[] = []
  request.on('data', (chunk: Buffer) => chunks.push(chunk))
  request.on('end', () => {
    const ids = { runId: decodeURIComponent(runId), stepId: decodeURIComponent(stepId) }
    capture({ ...ids, key, body: Buffer.concat(chunks) }).then(
      ({ status, value }) => {
        const text = JSON.stringify(value)
        response.writeHead(status, { 'content-type': 'application/json', 'content-length': Buffer.byteLength(text) })
        response.end(text)
      },
      // 22P02: not JSON.
      (error: { code?: string }) => response.writeHead(error.code === '22P02' ? 422 : 500).end(),
    )
  })
}

await listen(createServer(handle))
