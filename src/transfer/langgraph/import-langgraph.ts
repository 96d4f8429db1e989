import { createDatabase } from '../../db/connect.ts'
import { type CheckpointKey, createLanggraphTables, type LanggraphTables } from '../../db/foreign/langgraph-tables.ts'
import { restoreRun } from '../../db/queries/transfers.ts'
import { AppError } from '../../errors.ts'
import { type Instant, parseInstant } from '../../model/instant.ts'
import { RUN_FIELDS } from '../../model/run.ts'
import type { ImportOptions } from '../import-run.ts'
import { isRefusal } from '../take-state.ts'
import { createThreadStates } from './thread-states.ts'

export interface LanggraphOptions extends ImportOptions {
  /** Of the database that holds the threads. */
  readonly url: string
  readonly schema: string
}

/**
 * Takes all threads of a database of LangGraph: each is a run, and each of its checkpoints a step with its state, followed by what tasks
 * wrote. The database is only read, in pages. What was taken before is passed over.
 * @throws AppError where there are no such tables, or one of the two databases is away.
 */
export async function importLanggraph(options: LanggraphOptions): Promise<void> {
  const { url, schema, signal, onTaken } = options
  const source = createDatabase({ url, maxConnections: 1, isReadOnly: true, applicationName: 'statelens import' })
  try {
    const tables = createLanggraphTables(source, schema)
    if (!(await tables.areThere())) {
      throw new AppError('NOT_FOUND', `There are no checkpoints in schema ${JSON.stringify(schema)} of that database`)
    }
    let threadId = await tables.nextThread(null)
    while (threadId !== null) {
      signal.throwIfAborted()
      try {
        await takeThread(threadId, tables, options)
      } catch (error) {
        if (!isRefusal(error)) throw error
        onTaken({ outcome: 'refused', name: 'thread', runId: threadId, code: error.code })
      }
      threadId = await tables.nextThread(threadId)
    }
  } finally {
    await source.close()
  }
}

async function takeThread(threadId: string, tables: LanggraphTables, options: LanggraphOptions): Promise<void> {
  const states = createThreadStates(threadId, tables, options)
  let after: CheckpointKey | null = null
  for (;;) {
    const page = await tables.pageCheckpoints(threadId, after)
    for (const row of page) {
      const createdAt = instantOf(row.at)
      if (after === null) await beginRun(threadId, createdAt, options)
      await states.take(row, createdAt)
      after = row
    }
    if (page.length === 0) return
  }
}

async function beginRun(runId: string, createdAt: Instant | null, options: LanggraphOptions): Promise<void> {
  const { db, reader, writer, isDryRun } = options
  const [found] = await reader.loadRuns([runId], RUN_FIELDS.all)
  if (isDryRun || found) return
  await writer.upsertRun({ runId, workflowName: 'langgraph', tags: [{ key: 'langgraph', value: 'thread' }] })
  if (createdAt !== null) await restoreRun(db, { runId, createdAt, legalHold: false })
}

function instantOf(text: string | null): Instant | null {
  try {
    return text === null ? null : parseInstant(text)
  } catch {
    return null
  }
}
