import { openStorage } from '../app.ts'
import { createMemoryCache } from '../cache/memory.ts'
import type { Config } from '../config.ts'
import { createDatabase } from '../db/connect.ts'
import { loadServerFacts } from '../db/queries/survey.ts'
import { type ErrorCode, isAppError } from '../errors.ts'
import { createVerifier } from '../snapshots/upkeep/verifier.ts'
import { type VerifyResult, verifyAll } from '../snapshots/upkeep/verify-all.ts'
import { createPayloads } from '../snapshots/views/payloads.ts'
import { HIDDEN_ROWS } from './database-trouble.ts'

export interface VerifyCommand {
  /** With `databaseUrl`, whether it was configured or embedded. */
  readonly config: Config & { readonly databaseUrl: string }
  /** `run`, `after` and `max-mb-per-second`, as they were typed. */
  readonly args: Readonly<Record<string, string | boolean | undefined>>
  readonly output: { readonly isTTY?: boolean; write(text: string): unknown }
  /** Ends it between two chunks. */
  readonly signal: AbortSignal
  /** @see VerifyAllOptions */
  readonly pauseMs?: number
}

const MB = 1_000_000
const LINE_MILLIS = 5000

/** Of those after the first three, the operator has to look at every single one. */
const OUTCOMES = ['verified', 'not verifiable', 'not JSON', 'missing', 'corrupt', 'unreadable'] as const
type Outcome = (typeof OUTCOMES)[number]

/**
 * The command `verify`: reads every payload back, and tells which are missing, corrupt or cannot be read.
 * @returns the exit code. 0: all that can be checked is intact. 2: something is missing or corrupt. 1: it was stopped, or could
 * not read some.
 * @throws Error when an argument is wrong.
 */
export async function runVerify({ config, args, output, signal, pauseMs }: VerifyCommand): Promise<number> {
  const { afterSeq, ...wish } = readArgs(args)
  const db = createDatabase({ url: config.databaseUrl, maxConnections: 2 })
  const storage = openStorage(config, db)
  // Payloads larger than this are streamed: all of them.
  const cache = createMemoryCache({ maxBytes: 1, maxEntryBytes: 1, ttlSeconds: 1 })
  const verifier = createVerifier({ db, payloads: createPayloads({ db, storage, cache }) })
  const report = createReport(output, afterSeq)
  try {
    const { isReadOnly, hidesRows } = await loadServerFacts(db)
    if (isReadOnly) output.write('The database takes no writes: what is found is told here, and recorded nowhere.\n')
    if (hidesRows) output.write(`Not all may be looked at: ${HIDDEN_ROWS}.\n`)
    await verifyAll({ ...wish, db, storage, verifier, afterSeq, signal, pauseMs, onResult: report.add })
    return report.end()
  } catch (error) {
    report.end()
    const why = signal.aborted ? 'Stopped.' : `Stopped: ${describe(error)}.`
    output.write(`${why} To go on from here: --after ${report.lastSeq()}\n`)
    return 1
  } finally {
    await Promise.all([db.close(), cache.close()])
    storage.close()
  }
}

function readArgs({ run, after = '0', 'max-mb-per-second': rate }: VerifyCommand['args']) {
  if (!/^\d{1,18}$/.test(String(after))) throw new Error('--after takes the number of a snapshot, its seq')
  if (run === '') throw new Error('--run takes the id of a run')
  if (rate !== undefined && !(Number(rate) > 0)) throw new Error('--max-mb-per-second takes a number above 0')
  return {
    afterSeq: String(after),
    runId: run === undefined ? undefined : String(run),
    maxBytesPerSecond: rate === undefined ? undefined : Number(rate) * MB,
  }
}

function describe(error: unknown): string {
  if (isAppError(error)) return `${error.message} (${error.code})`
  return error instanceof Error ? error.message : String(error)
}

/** Lines about what is wrong, how far it is, and at the end what there was. */
function createReport(output: VerifyCommand['output'], afterSeq: string) {
  const counts = new Map<Outcome, number>()
  const began = performance.now()
  let shownAt = began
  let lastSeq: string | number = afterSeq
  let sizeBytes = 0
  const erased = output.isTTY ? '\r\x1b[K' : ''

  function showProgress(): void {
    const isDue = performance.now() - shownAt >= (output.isTTY ? 200 : LINE_MILLIS)
    if (!isDue) return
    shownAt = performance.now()
    const total = counts.values().reduce((sum, count) => sum + count, 0)
    const line = `${total.toLocaleString('en-US')} snapshots, ${megabytes(sizeBytes)}, up to ${lastSeq}`
    output.write(output.isTTY ? `${erased}${line}` : `${line}\n`)
  }

  return {
    add({ snapshot, found }: VerifyResult): void {
      const { outcome, code } = outcomeOf(found)
      counts.set(outcome, (counts.get(outcome) ?? 0) + 1)
      if ('integrity' in found) sizeBytes += found.sizeBytes ?? 0
      lastSeq = snapshot.seq
      if (code) output.write(`${erased}${code.padEnd(26)}  ${snapshot.snapshotId}  ${JSON.stringify(snapshot.runId)}\n`)
      showProgress()
    },
    lastSeq: () => lastSeq,
    end(): number {
      const rows = OUTCOMES.map((outcome) => [outcome, (counts.get(outcome) ?? 0).toLocaleString('en-US')] as const)
      const width = Math.max(...rows.map(([, count]) => count.length))
      const table = rows.map(([outcome, count]) => `${outcome.padEnd(14)}  ${count.padStart(width)}\n`).join('')
      const seconds = ((performance.now() - began) / 1000).toFixed(1)
      output.write(`${erased}${table}${megabytes(sizeBytes)} read in ${seconds} s\n`)
      if (counts.has('missing') || counts.has('corrupt')) return 2
      return counts.has('unreadable') ? 1 : 0
    },
  }
}

/** What is counted, and the code that its line shows where it needs one. */
function outcomeOf(found: VerifyResult['found']): { readonly outcome: Outcome; readonly code?: ErrorCode } {
  if ('code' in found) return { outcome: found.code === 'OBJECT_MISSING' ? 'missing' : 'unreadable', code: found.code }
  if (found.integrity === 'MISMATCH') return { outcome: 'corrupt', code: 'OBJECT_CORRUPT' }
  if (!found.isJson) return { outcome: 'not JSON', code: 'INVALID_PAYLOAD' }
  return { outcome: found.integrity === 'VERIFIED' ? 'verified' : 'not verifiable' }
}

function megabytes(bytes: number): string {
  return `${(bytes / MB).toLocaleString('en-US', { maximumFractionDigits: 1 })} MB`
}
