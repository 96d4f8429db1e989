import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { listen, setting } from '../lib/listen.ts'
import { createRowReader, type RawValue } from '../lib/raw-rows.ts'

/*
 * What can be had without GraphQL: four statements, prepared, whose rows become the text of the answer at once. It knows the
 * four operations by their names, and reads nothing but their variables. `text` takes payloads as pg gives them, `buffers` as
 * their bytes.
 */
const reader = await createRowReader(setting('DATABASE_URL'), setting('VARIANT') === 'buffers' ? 'buffers' : 'text')

type Row = readonly RawValue[]
type Variables = Readonly<Record<string, string>>

const newest = (columns: string) =>
  `(select ${columns} from state_snapshots s where s.run_id = t.run_id and s.step_id = t.step_id order by s.seq desc limit 1)`
const DETAILS = 's.id, s.seq, s.kind, s.created_at, s.is_success_state, s.is_golden, s.size_bytes, s.content_digest'
const PAYLOAD = 's.id, s.seq, s.created_at, s.size_bytes, s.content_digest, s.snapshot'
const STEPS = `lateral (
  select t.*, row_number() over (order by coalesce(t.step_index, 2147483647), t.ordinal) as place from statelens_steps t
  where t.run_id = r.run_id order by place limit 20) t`
const STEP = 't.step_id, t.step_index, t.name, t.status, t.started_at, t.ended_at'
const RUN = 'r.run_id, r.workflow_name, r.status, r.created_at'
/** One run more than is shown says whether there is a next page. */
const runs = (first: number) => `(
  select r.*, row_number() over (order by r.created_at desc, r.run_id desc) as place from statelens_runs r
  where r.workflow_name = $1 order by place limit ${first + 1}) r`

const STATEMENTS = {
  q1: `select ${PAYLOAD} from ${newest('*').replace('t.run_id', '$1').replace('t.step_id', '$2')} s`,
  q2: `select ${RUN}, ${STEP}, ${DETAILS} from statelens_runs r left join ${STEPS} on true
    left join lateral ${newest('*')} s on true where r.run_id = $1 order by t.place`,
  q3: `select ${RUN}, ${STEP}, ${DETAILS} from ${runs(50)} left join ${STEPS} on r.place <= 50
    left join lateral ${newest('*')} s on true order by r.place, t.place`,
  q4: `select ${RUN}, t.step_id, ${PAYLOAD} from ${runs(20)} left join ${STEPS} on r.place <= 20
    left join lateral ${newest('*')} s on true order by r.place, t.place`,
}

/** The answer's parts in order; payloads are parts of their own. */
type Answer = (variables: Variables) => Promise<RawValue[]>

const ANSWERS: Readonly<Record<string, Answer>> = {
  async Q1({ runId, stepId }) {
    const [row] = await reader.rows({ name: 'q1', text: STATEMENTS.q1 }, [runId, stepId])
    const parts: RawValue[] = ['{"data":{"snapshot":']
    writePayload(parts, row ?? [], 0)
    parts.push('}}')
    return parts
  },
  async Q2({ runId }) {
    const rows = await reader.rows({ name: 'q2', text: STATEMENTS.q2 }, [runId])
    if (rows.length === 0) return ['{"data":{"run":null}}']
    return [
      '{"data":{"run":',
      rows.map((row, i) => (i === 0 ? runHead(row) : ',') + stepWithDetails(row)).join(''),
      ']}}}}',
    ]
  },
  async Q3({ workflow }) {
    const rows = await reader.rows({ name: 'q3', text: STATEMENTS.q3 }, [workflow])
    return writeRuns(rows, 50, (parts, row, isFirst) => {
      const text = isFirst ? `{"node":${runHead(row)}` : ','
      parts.push(text + (row[4] === null ? '' : stepWithDetails(row)))
    })
  },
  async Q4({ workflow }) {
    const rows = await reader.rows({ name: 'q4', text: STATEMENTS.q4 }, [workflow])
    return writeRuns(rows, 20, (parts, row, isFirst) => {
      parts.push(isFirst ? `{"node":{"runId":${quoted(row[0])},"steps":{"edges":[` : ',')
      if (row[4] === null) return
      parts.push(`{"node":{"stepId":${quoted(row[4])},"snapshot":`)
      writePayload(parts, row, 5)
      parts.push('}}')
    })
  },
}

function writeRuns(
  rows: readonly Row[],
  first: number,
  writeStep: (parts: RawValue[], row: Row, isFirst: boolean) => void,
): RawValue[] {
  const parts: RawValue[] = ['']
  let run: RawValue | undefined
  let last: Row | undefined
  let count = 0
  for (const row of rows) {
    const isFirst = row[0] !== run
    if (isFirst && ++count > first) break
    if (isFirst && count > 1) parts.push(']}}},')
    writeStep(parts, row, isFirst)
    run = row[0]
    last = row
  }
  const cursor = last ? `"${Buffer.from(JSON.stringify([last[3], last[0]])).toString('base64url')}"` : 'null'
  parts[0] = `{"data":{"runs":{"pageInfo":{"hasNextPage":${count > first},"endCursor":${cursor}},"edges":[`
  parts.push(count === 0 ? ']}}}' : ']}}}]}}}')
  return parts
}

function runHead([runId, workflowName, status, createdAt]: Row): string {
  return `{"runId":${quoted(runId)},"workflowName":${quoted(workflowName)},"status":${quoted(status)},"createdAt":${instant(createdAt)},"steps":{"edges":[`
}

function stepWithDetails(row: Row): string {
  return `{"node":{"stepId":${quoted(row[4])},"index":${row[5]},"name":${quoted(row[6])},"status":${quoted(row[7])},"startedAt":${instant(row[8])},"endedAt":${instant(row[9])},"snapshot":${details(row)}}}`
}

function details(row: Row): string {
  if (row[10] === null) return 'null'
  return `{"snapshotId":"${row[10]}","seq":${row[11]},"kind":${quoted(row[12])},"createdAt":${instant(row[13])},"isSuccessState":${row[14] === 't'},"isGolden":${row[15] === 't'},"sizeBytes":${row[16]},"digest":${digest(row[17])}}`
}

function writePayload(parts: RawValue[], row: Row, from: number): void {
  const [id = null, seq, createdAt, sizeBytes, contentDigest, payload = null] = row.slice(from, from + 6)
  if (id === null) {
    parts.push('null')
    return
  }
  parts.push(
    `{"snapshotId":"${id}","seq":${seq},"createdAt":${instant(createdAt)},"sizeBytes":${sizeBytes},"digest":${digest(contentDigest)},"payload":`,
    payload ?? 'null',
    '}',
  )
}

function quoted(text: RawValue | undefined): string {
  return JSON.stringify(text)
}

/** `2026-01-01 02:37:36.085+00`, as PostgreSQL prints it in UTC. */
function instant(text: RawValue | undefined): string {
  return typeof text === 'string' ? `"${text.slice(0, 10)}T${text.slice(11, -3)}Z"` : 'null'
}

/** `\x…`, as PostgreSQL prints bytes. */
function digest(text: RawValue | undefined): string {
  return typeof text === 'string' ? `"sha256:${text.slice(2)}"` : 'null'
}

/** One piece of memory of the exact size, each part copied into it once. */
function toBody(parts: readonly RawValue[]): Buffer | string {
  if (parts.every((part) => typeof part === 'string')) return parts.join('')
  const segments: (string | Buffer)[] = []
  let text = ''
  for (const part of parts) {
    if (typeof part === 'string') text += part
    else if (part) {
      segments.push(text, part)
      text = ''
    }
  }
  segments.push(text)
  const sizeOf = (segment: string | Buffer) =>
    typeof segment === 'string' ? Buffer.byteLength(segment) : segment.length
  const body = Buffer.allocUnsafe(segments.reduce((sum, segment) => sum + sizeOf(segment), 0))
  let at = 0
  for (const segment of segments) {
    at += typeof segment === 'string' ? body.write(segment, at) : segment.copy(body, at)
  }
  return body
}

function handle(request: IncomingMessage, response: ServerResponse): void {
  let text = ''
  request.setEncoding('utf8')
  request.on('data', (chunk: string) => {
    text += chunk
  })
  request.on('end', () => {
    const { operationName, variables } = JSON.parse(text)
    ANSWERS[operationName]?.(variables).then(
      (parts) => {
        const body = toBody(parts)
        response.writeHead(200, { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) })
        response.end(body)
      },
      () => response.writeHead(500).end(),
    )
  })
}

await listen(createServer(handle))
