import { Readable, Writable } from 'node:stream'
import { runExport } from '../../src/commands/export.ts'
import { runImport } from '../../src/commands/import.ts'
import { readConfig } from '../../src/config.ts'
import { query } from '../support/rows.ts'
import type { TestServer } from '../support/server.ts'

export type Store = Pick<TestServer, 'databaseUrl' | 'storagePath'>

const never = new AbortController().signal

function configOf({ databaseUrl, storagePath }: Store) {
  const settings = { DATABASE_URL: databaseUrl, SNAPSHOT_STORAGE_PATH: storagePath, SNAPSHOT_INLINE_MAX_BYTES: '1000' }
  return { ...readConfig(settings), databaseUrl }
}

function collect() {
  const chunks: Buffer[] = []
  const stream = new Writable({
    write(chunk, _encoding, done) {
      chunks.push(chunk)
      done()
    },
  })
  return { stream, bytes: () => Buffer.concat(chunks) }
}

/** The command, with what it wrote. */
export async function exported(store: Store, runId: string, path?: string) {
  const { stream, bytes } = collect()
  let told = ''
  const notes = {
    write(text: string) {
      told += text
    },
  }
  const code = await runExport({ config: configOf(store), runId, path, output: stream, notes, signal: never })
  return { code, told, file: bytes() }
}

export interface ImportWish {
  readonly words?: readonly string[]
  readonly args?: Readonly<Record<string, string | boolean>>
  readonly input?: Buffer
  readonly signal?: AbortSignal
}

/** The command, with the numbers of its table. */
export async function imported(store: Store, { words = ['-'], args = {}, input, signal = never }: ImportWish) {
  let told = ''
  const output = {
    write(text: string) {
      told += text
    },
  }
  const chunks = input ? [...pieces(input)] : []
  const code = await runImport({ config: configOf(store), words, args, input: Readable.from(chunks), output, signal })
  const rows = [...told.matchAll(/^(taken|would be taken|there already|not in the file|refused) +([\d,]+)$/gm)]
  return { code, told, counts: Object.fromEntries(rows.map(([, name, count]) => [name, Number(count)])) }
}

/** As they might come by a pipe. */
function* pieces(bytes: Buffer): Generator<Buffer> {
  for (let at = 0; at < bytes.length; at += 10_007) yield bytes.subarray(at, at + 10_007)
}

/** Everything that is kept of snapshots, in order, but where their states lie and what only this store knows. */
export async function kept({ databaseUrl }: Store, runId: string) {
  return await query(
    databaseUrl,
    `select id, run_id, step_id, attempt, kind, created_at::text, is_success_state, is_golden, golden_source, golden_metadata::text, golden_at::text, replay_safe, pii_tags,
      redaction_policy, metadata::text, size_bytes, encode(content_digest, 'hex') as digest, content_type, content_encoding,
      storage_uri is null as is_inline, preview, expires_at::text
     from state_snapshots where run_id = $1 order by seq`,
    [runId],
  )
}

export async function runAndSteps({ databaseUrl }: Store, runId: string) {
  const runs = await query(
    databaseUrl,
    `select run_id, workflow_name, status, tags::text, started_at::text, ended_at::text, created_at::text, expires_at::text,
      parent_run_id, error::text, legal_hold from statelens_runs where run_id = $1`,
    [runId],
  )
  const steps = await query(
    databaseUrl,
    `select step_id, step_index, name, kind, status, attempt, started_at::text, ended_at::text, error::text
     from statelens_steps where run_id = $1 order by step_index nulls last, ordinal`,
    [runId],
  )
  return { runs, steps }
}
