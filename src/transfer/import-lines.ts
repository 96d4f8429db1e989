import { createReadStream } from 'node:fs'
import { basename } from 'node:path'
import { createJsonLocator } from '../json/locator.ts'
import { SNAPSHOT_KINDS } from '../model/snapshot.ts'
import { createFieldReader } from './field-reader.ts'
import { type ObjectLine, readObjectLines } from './json-lines.ts'
import type { Outcome } from './outcomes.ts'
import { type StateToTake, type TakeOptions, takeState } from './take-state.ts'

export interface LinesOptions extends TakeOptions {
  readonly path: string
  /** Of lines that name none. */
  readonly runId?: string | undefined
  readonly stepId?: string | undefined
}

/** What a line may say beside its payload. */
const MEMBERS: ReadonlySet<string> = new Set([
  ...['runId', 'stepId', 'attempt', 'kind', 'snapshotId', 'idempotencyKey', 'metadata', 'isSuccessState', 'replaySafe'],
  ...['piiTags', 'redactionPolicy', 'expiresAt', 'createdAt', 'payload'],
])

/**
 * Takes the states of a file that has one a line, with what `captureSnapshot` takes beside it: each is read past any parser, byte for
 * byte, and may be of any size. Lines that cannot be taken are told and passed over. A line that was taken before is not taken again.
 */
export async function importLines(options: LinesOptions): Promise<void> {
  const { path, signal, onTaken } = options
  for await (const line of readObjectLines(createReadStream(path, { signal }), 'payload')) {
    signal.throwIfAborted()
    const state = stateOf(line, options)
    if (typeof state === 'string') onTaken({ ...refusedLine(line, state), runId: options.runId ?? '' })
    else await takeState(state, options)
  }
}

function refusedLine({ number }: ObjectLine, problem: string) {
  const outcome: Outcome = 'refused'
  return { outcome, name: `line ${number}: ${problem}`, code: 'BAD_REQUEST' }
}

/** Or what is wrong with it. */
function stateOf({ number, head, apart }: ObjectLine, { path, ...options }: LinesOptions): StateToTake | string {
  if (head === '') return 'what it says beside its payload is too long'
  const fields = objectOf(head)
  if (!fields) return 'it is no JSON object'
  if (!apart) return 'it has no payload'
  const unknown = Object.keys(fields).find((name) => !MEMBERS.has(name))
  if (unknown !== undefined) return `there is no member ${JSON.stringify(unknown)}`
  try {
    const read = createFieldReader(fields, (problem) => {
      throw new Problem(problem)
    })
    const metadata = createJsonLocator(head)(['metadata'])
    const runId = read.textOrNull('runId') ?? options.runId
    if (runId === undefined) return 'it has no runId, and there is no --run'
    const input = {
      runId,
      stepId: read.textOrNull('stepId') ?? options.stepId ?? null,
      attempt: read.integerOrNull('attempt'),
      kind: read.oneOf('kind', SNAPSHOT_KINDS),
      snapshotId: read.textOrNull('snapshotId'),
      idempotencyKey: read.textOrNull('idempotencyKey') ?? `import ${basename(path)}:${number}`,
      metadata: metadata === undefined || metadata === 'null' ? null : metadata,
      isSuccessState: read.flag('isSuccessState'),
      replaySafe: read.flag('replaySafe'),
      piiTags: read.texts('piiTags'),
      redactionPolicy: read.textOrNull('redactionPolicy'),
      expiresAt: read.instantOrNull('expiresAt'),
    }
    const { start, end } = apart
    return {
      input,
      createdAt: read.instantOrNull('createdAt'),
      sizeBytes: end - start,
      open: () => createReadStream(path, { start, end: end - 1 }),
      name: `line ${number}`,
    }
  } catch (error) {
    if (error instanceof Problem) return error.message
    throw error
  }
}

class Problem extends Error {}

function objectOf(text: string): Readonly<Record<string, unknown>> | null {
  try {
    const value: unknown = JSON.parse(text)
    const isObject = typeof value === 'object' && value !== null && !Array.isArray(value)
    return isObject ? (value as Readonly<Record<string, unknown>>) : null
  } catch {
    return null
  }
}
