import { isAppError } from '../errors.ts'
import type { Instant } from '../model/instant.ts'
import { mendText } from '../model/mended-text.ts'
import type { ErrorInfo } from '../model/run.ts'
import type { SnapshotWriter } from '../snapshots/capture/writer.ts'
import { type Attribute, SPAN_KINDS, type Span, STATUS_ERROR, textOf } from './span.ts'
import { type SpanStates, statesOf } from './states.ts'

export type SpanWriter = Pick<SnapshotWriter, 'upsertRun' | 'upsertSteps' | 'capture'>

/** What became of a batch. */
export interface Recorded {
  /** Spans that cannot be recorded, however often they come. */
  readonly rejected: number
  /** Why, of the first of them; empty where there is none. */
  readonly message: string
}

const TRACE_ID = /^(?!0{32})[0-9a-f]{32}$/
const SPAN_ID = /^(?!0{16})[0-9a-f]{16}$/
/** By one statement. */
const STEPS_AT_ONCE = 500
/** So many states are on their way to the database. */
const LANES = 6
const NAME_MAX_BYTES = 1024

/**
 * Records each trace as a run and each span as a step of it, whose states are what went in and what came out. Everything is named by the ids
 * of the spans: the same batch again changes nothing.
 * @throws AppError that may pass, such as `DATABASE_UNAVAILABLE`: then all of the batch is to come again.
 */
export async function recordSpans(writer: SpanWriter, spans: readonly Span[], signal?: AbortSignal): Promise<Recorded> {
  let rejected = 0
  let message = ''
  const reject = (why: string) => {
    rejected++
    message ||= why
  }
  const named = spans.filter(({ traceId, spanId }) => TRACE_ID.test(traceId) && SPAN_ID.test(spanId))
  for (let i = named.length; i < spans.length; i++) reject('BAD_REQUEST: the id of a trace or a span is none')
  // Steps are in the order in which they began, as far as they come together.
  named.sort((one, other) => Number(one.startNanos - other.startNanos))
  const waiting: Span[] = []
  for (let at = 0; at < named.length; at += STEPS_AT_ONCE) {
    const group = named.slice(at, at + STEPS_AT_ONCE)
    if (await isTaken(() => writer.upsertSteps(group.map(stepOf)))) {
      waiting.push(...group)
      continue
    }
    // Something is wrong with one of them: which one shows when each comes by itself.
    for (const span of group) {
      if (await isTaken(() => writer.upsertSteps([stepOf(span)]), reject)) waiting.push(span)
    }
  }

  async function work(): Promise<void> {
    for (let span = waiting.shift(); span; span = waiting.shift()) {
      signal?.throwIfAborted()
      const states = statesOf(span)
      await isTaken(() => recordStates(writer, span, { states, signal }), reject)
    }
  }
  const ends = await Promise.allSettled(Array.from({ length: LANES }, work))
  const failed = ends.find((end) => end.status === 'rejected')
  if (failed) throw failed.reason
  return { rejected, message }
}

/** @throws what may pass by itself, and what nobody foresaw. */
async function isTaken(write: () => Promise<void>, reject?: (why: string) => void): Promise<boolean> {
  try {
    await write()
    return true
  } catch (error) {
    if (!isAppError(error) || error.isRetryable || error.code === 'INTERNAL_SERVER_ERROR') throw error
    reject?.(`${error.code}: ${error.message}`)
    return false
  }
}

function stepOf(span: Span) {
  const { traceId: runId, spanId: stepId, name, attributes } = span
  const kind = textOf(attributes, 'gen_ai.operation.name') ?? SPAN_KINDS[span.kind] ?? null
  return { runId, stepId, name, kind, ...endOf(span) }
}

function endOf(span: Span) {
  const status = span.status.code === STATUS_ERROR ? 'FAILED' : 'SUCCEEDED'
  const times = { startedAt: toInstant(span.startNanos), endedAt: toInstant(span.endNanos) }
  return { ...times, status, error: errorOf(span) } as const
}

interface StatesToRecord {
  readonly states: SpanStates
  readonly signal: AbortSignal | undefined
}

async function recordStates(writer: SpanWriter, span: Span, { states, signal }: StatesToRecord): Promise<void> {
  const { traceId: runId, spanId: stepId, parentSpanId, attributes, resource } = span
  const known = { runId, stepId, metadata: states.rest, ...protectionOf([...attributes, ...resource]) }
  for (const [state, kind] of [
    [states.input, 'INPUT'],
    [states.output, 'OUTPUT'],
  ] as const) {
    if (state) await writer.capture({ ...known, kind, idempotencyKey: `otlp ${kind}` }, state, signal)
  }
  if (parentSpanId !== '') return
  // Last: whoever waits for the end of a run finds all of it.
  const workflowName = mendText(span.name, NAME_MAX_BYTES)
  await writer.upsertRun({ runId, workflowName, tags: tagsOf(resource), ...endOf(span) })
}

/** What an application says of its states, so that they are masked like any others. */
function protectionOf(attributes: readonly Attribute[]) {
  const tags = attributes.find(({ key }) => key === 'statelens.pii_tags')?.value
  const items = tags !== null && typeof tags === 'object' && 'items' in tags ? tags.items : []
  const piiTags = items.flatMap((item) =>
    item !== null && typeof item === 'object' && 'text' in item ? item.text.toString() : [],
  )
  return { piiTags, redactionPolicy: textOf(attributes, 'statelens.redaction_policy') ?? null }
}

function tagsOf(resource: readonly Attribute[]) {
  return ['service.name', 'service.version', 'deployment.environment.name'].flatMap((key) => {
    const value = textOf(resource, key)
    return value === undefined ? [] : { key, value: mendText(value, NAME_MAX_BYTES) }
  })
}

function errorOf({ status, events }: Span): ErrorInfo | null {
  if (status.code !== STATUS_ERROR) return null
  const told = events.findLast(({ name }) => name === 'exception')?.attributes ?? []
  return {
    message: textOf(told, 'exception.message') ?? status.message,
    type: textOf(told, 'exception.type') ?? null,
    stack: textOf(told, 'exception.stacktrace') ?? null,
  }
}

/** To the microsecond; null where it is not known. */
function toInstant(nanos: bigint): Instant | null {
  if (nanos <= 0n) return null
  const date = new Date(Number(nanos / 1_000_000n))
  if (Number.isNaN(date.getTime()) || date.getUTCFullYear() > 9999) return null
  const micros = String((nanos / 1000n) % 1000n).padStart(3, '0')
  return `${date.toISOString().slice(0, -1)}${micros}Z`
}
