import { createMemoryCache } from '../cache/memory.ts'
import type { Config } from '../config.ts'
import { createDatabase, type Database } from '../db/connect.ts'
import { loadServerFacts } from '../db/queries/survey.ts'
import { type ErrorCode, isAppError } from '../errors.ts'
import { createStateIndexes, type StateIndexes } from '../snapshots/indexes/state-indexes.ts'
import { type EverySnapshotOptions, type Visited, visitEverySnapshot } from '../snapshots/upkeep/every-snapshot.ts'
import { createStoredReads, type StoredReads } from '../snapshots/upkeep/stored-reads.ts'
import { createPayloads, type Payloads } from '../snapshots/views/payloads.ts'
import { openStorage } from '../stores.ts'
import { HIDDEN_ROWS } from './database-trouble.ts'

/** A command that visits every snapshot, or those of one run. */
export interface PassCommand {
  /** With `databaseUrl`, whether it was configured or embedded. */
  readonly config: Config & { readonly databaseUrl: string }
  /** `run`, `after` and `max-mb-per-second`, as they were typed. */
  readonly args: Readonly<Record<string, string | boolean | undefined>>
  readonly output: { readonly isTTY?: boolean; write(text: string): unknown }
  /** Ends it between two chunks. */
  readonly signal: AbortSignal
  /** @see EverySnapshotOptions */
  readonly pauseMs?: number
}

/** What its visits are, and what is said of them. */
export interface Pass<Found, Outcome extends string> {
  /** In the order of the table at the end. */
  readonly outcomes: readonly Outcome[]
  begin(parts: PassParts): EverySnapshotOptions<Found>['visit']
  describe(found: Visited<Found>['found']): Told<Outcome>
  /** @param has whether anything had that outcome. */
  exitCodeOf(has: (outcome: Outcome) => boolean): number
}

export interface PassParts {
  readonly db: Database
  readonly payloads: Payloads
  readonly indexes: StateIndexes
  readonly reads: StoredReads
  readonly output: PassCommand['output']
  /** Whether the database takes no writes. */
  readonly isReadOnly: boolean
}

/** What is counted of a snapshot. */
export interface Told<Outcome> {
  readonly outcome: Outcome
  /** That its line shows; left out where it needs none. */
  readonly code?: ErrorCode
  /** Bytes that were read; 0 when left out. */
  readonly sizeBytes?: number
}

const MB = 1_000_000
const LINE_MILLIS = 5000

/**
 * Visits the snapshots one after the other, with lines about what is wrong and how far it is, and a table at the end.
 * @returns the exit code: that of the pass; 1 when it was stopped: it then prints from where it goes on.
 * @throws Error when an argument is wrong.
 */
export async function runPass<Found, Outcome extends string>(
  { config, args, output, signal, pauseMs }: PassCommand,
  pass: Pass<Found, Outcome>,
): Promise<number> {
  const { afterSeq, ...wish } = readArgs(args)
  const db = createDatabase({ url: config.databaseUrl, maxConnections: 2 })
  const storage = openStorage(config, db)
  // Payloads larger than this are streamed: all of them.
  const cache = createMemoryCache({ maxBytes: 1, maxEntryBytes: 1, ttlSeconds: 1 })
  const report = createReport(output, afterSeq, pass)
  try {
    const { isReadOnly, hidesRows } = await loadServerFacts(db)
    const payloads = createPayloads({ db, storage, cache })
    const indexes = createStateIndexes(db)
    const reads = createStoredReads({ db, indexes })
    const visit = pass.begin({ db, payloads, indexes, reads, output, isReadOnly })
    if (hidesRows) output.write(`Not all may be looked at: ${HIDDEN_ROWS}.\n`)
    await visitEverySnapshot({ ...wish, db, storage, visit, afterSeq, signal, pauseMs, onResult: report.add })
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

function readArgs({ run, after = '0', 'max-mb-per-second': rate }: PassCommand['args']) {
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
function createReport<Found, Outcome extends string>(
  output: PassCommand['output'],
  afterSeq: string,
  { outcomes, describe: tell, exitCodeOf }: Pass<Found, Outcome>,
) {
  const counts = new Map<Outcome, number>()
  const began = performance.now()
  let shownAt = began
  let lastSeq: string | number = afterSeq
  let readBytes = 0
  const erased = output.isTTY ? '\r\x1b[K' : ''

  function showProgress(): void {
    const isDue = performance.now() - shownAt >= (output.isTTY ? 200 : LINE_MILLIS)
    if (!isDue) return
    shownAt = performance.now()
    const total = counts.values().reduce((sum, count) => sum + count, 0)
    const line = `${total.toLocaleString('en-US')} snapshots, ${megabytes(readBytes)}, up to ${lastSeq}`
    output.write(output.isTTY ? `${erased}${line}` : `${line}\n`)
  }

  return {
    add({ snapshot, found }: Visited<Found>): void {
      const { outcome, code, sizeBytes = 0 } = tell(found)
      counts.set(outcome, (counts.get(outcome) ?? 0) + 1)
      readBytes += sizeBytes
      lastSeq = snapshot.seq
      if (code) output.write(`${erased}${code.padEnd(26)}  ${snapshot.snapshotId}  ${JSON.stringify(snapshot.runId)}\n`)
      showProgress()
    },
    lastSeq: () => lastSeq,
    end(): number {
      const rows = outcomes.map((outcome) => [outcome, (counts.get(outcome) ?? 0).toLocaleString('en-US')] as const)
      const width = Math.max(...rows.map(([, count]) => count.length))
      const table = rows.map(([outcome, count]) => `${outcome.padEnd(14)}  ${count.padStart(width)}\n`).join('')
      const seconds = ((performance.now() - began) / 1000).toFixed(1)
      output.write(`${erased}${table}${megabytes(readBytes)} read in ${seconds} s\n`)
      return exitCodeOf((outcome) => counts.has(outcome))
    },
  }
}

function megabytes(bytes: number): string {
  return `${(bytes / MB).toLocaleString('en-US', { maximumFractionDigits: 1 })} MB`
}
