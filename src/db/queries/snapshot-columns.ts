import { sql } from 'kysely'
import type { Instant } from '../../model/instant.ts'
import {
  type GoldenApproval,
  type JsonVerdict,
  SMALL_PAYLOAD_BYTES,
  SNAPSHOT_FIELDS,
  type Snapshot,
} from '../../model/snapshot.ts'
import { defineColumns, parseJson } from '../columns.ts'

/**
 * The payload is read from an object. A row whose copy was found to be what is read is inline, whoever looks at it and whatever
 * URI it names.
 */
const isObject = '(s.storage_uri is not null and not s.reads_inline)'

/** Bytes that were captured here stand in `payload`; `snapshot` is the old writer's column, and may be `jsonb`. */
const inlinePayload = 'coalesce(s.payload, s.snapshot::json)'

/** Anything of another length is no SHA-256, and nothing can be checked with it. */
const hasDigest = 'octet_length(s.content_digest) = 32'

const digest = `case when ${hasDigest} then 'sha256:' || encode(s.content_digest, 'hex') end`

/** The old writer's digest of a state in the row is of the text that it sent. */
const isOfSource = `(s.request_digest is null and not ${isObject})`

/** A row of the old writer with an object and a copy has no size until one of them was read. */
const digestOf = `case when ${hasDigest} then case when ${isOfSource} then 'SOURCE'
  when s.request_digest is null and s.snapshot is not null and s.size_bytes is null then null else 'PAYLOAD' end end`

const integrity = `case when ${hasDigest} and not ${isOfSource} then case when s.storage_state = 'CORRUPT' then 'MISMATCH'
  else coalesce(nullif(s.integrity, 'NOT_VERIFIABLE'), 'NOT_CHECKED') end else 'NOT_VERIFIABLE' end`

const storageState = `case when ${isObject} then coalesce(s.storage_state, 'UNKNOWN')
  when s.payload is null and s.snapshot is null then 'MISSING'
  when s.storage_state = 'CORRUPT' and not ${isOfSource} then 'CORRUPT' else 'AVAILABLE' end`

/** As one value; the text of the notes within it is what was given, letter for letter. */
const goldenApproval = `case when s.is_golden and s.golden_at is not null then json_build_array(s.golden_source,
  s.golden_metadata::text, to_char(s.golden_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')) end`

/** For every statement that asks of `s` where its payload lies. */
export const IS_OBJECT = sql.raw(isObject)

/** The digest as a snapshot shows it. */
export const DIGEST = sql.raw(digest)

/** The payload that lies in the row `s`, byte for byte as it was stored; null where there is none. */
export const INLINE_PAYLOAD = sql.raw(inlinePayload)

/** Columns of the table `state_snapshots s`. Rows of the old writer leave the newer columns out, hence the defaults. */
export const projectSnapshot = defineColumns<Snapshot>(SNAPSHOT_FIELDS, {
  snapshotId: { expression: 's.id' },
  runId: { expression: 's.run_id' },
  stepId: { expression: 's.step_id' },
  attempt: { expression: 's.attempt' },
  seq: { expression: 's.seq', parse: toInteger },
  kind: { expression: 's.kind' },
  createdAt: { expression: 's.created_at' },
  isSuccessState: { expression: 'coalesce(s.is_success_state, false)' },
  isGolden: { expression: 's.is_golden' },
  replaySafe: { expression: 'coalesce(s.replay_safe, false)' },
  piiTags: { expression: "coalesce(s.pii_tags, '{}')" },
  redactionPolicy: { expression: 's.redaction_policy' },
  metadata: { expression: 's.metadata' },
  sizeBytes: { expression: 's.size_bytes', parse: Number },
  digest: { expression: digest },
  digestOf: { expression: digestOf },
  integrity: { expression: integrity },
  contentType: { expression: 's.content_type' },
  contentEncoding: { expression: 's.content_encoding' },
  storageUri: { expression: `case when ${isObject} then s.storage_uri end` },
  hasInlineCopy: { expression: `(${isObject} and s.snapshot is not null)` },
  storageState: { expression: storageState },
  preview: { expression: 's.preview' },
  expiresAt: { expression: 's.expires_at' },
  goldenApproval: { expression: goldenApproval, parse: toApproval },
  isOwn: { expression: 's.request_digest is not null' },
  jsonVerdict: { expression: "s.json_verdict || ' ' || s.json_verdict_etag", parse: toJsonVerdict },
  inlinePayload: {
    expression: `case when not ${isObject} and s.size_bytes <= ${SMALL_PAYLOAD_BYTES} then ${inlinePayload} end`,
  },
})

/** A 64-bit integer as JavaScript has it: a number where that is exact. */
function toInteger(text: string): number | string {
  const number = Number(text)
  return Number.isSafeInteger(number) ? number : text
}

function toApproval(json: Buffer): GoldenApproval {
  const [source, metadata, approvedAt] = parseJson(json) as [string, string | null, Instant]
  return { source, metadata: metadata === null ? null : Buffer.from(metadata), approvedAt }
}

function toJsonVerdict(text: string): JsonVerdict {
  const [verdict = ''] = text.split(' ', 1)
  return { isJson: verdict === 'VALID', etag: text.slice(verdict.length + 1) }
}
