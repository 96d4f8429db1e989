import type { Spans } from '../telemetry/spans.ts'
import type { Telemetry } from '../telemetry/telemetry.ts'

/** Told of a statement when it is asked for. @returns told when it is over, with why it failed. */
export type ObserveStatement = (text: string) => (error?: unknown) => void

export interface StatementObserver {
  readonly begin: ObserveStatement
  /** Told of one that is over. */
  past(text: string, millis: number, error?: unknown): void
}

type Ended = ReturnType<Telemetry['statement']>

/** What is found out of a text once. No value is in it: those go beside it. */
interface Known {
  readonly ended: Ended
  /** Verb and table. */
  readonly summary: string
  readonly attributes: Readonly<Record<string, string>>
}

/** Texts come again: what comes once, as a migration, is not kept for long. */
const KNOWN_MAX = 1000
const TEXT_LENGTH = 2000
const VERBS = new Set(['SELECT', 'INSERT', 'UPDATE', 'DELETE', 'BEGIN', 'COMMIT', 'ROLLBACK'])

/** Tells of statements by what they do: times by the verb, and spans by the shape where traces are collected. */
export function observeStatements(telemetry: Telemetry): StatementObserver {
  const known = new Map<string, Known>()
  const { spans } = telemetry

  function lookAt(text: string): Known {
    const found = known.get(text)
    if (found) return found
    const verb = verbOf(text)
    const summary = [verb, tableOf(text)].filter(Boolean).join(' ')
    const attributes = {
      'db.system.name': 'postgresql',
      'db.operation.name': verb,
      'db.query.summary': summary,
      'db.query.text': text.slice(0, TEXT_LENGTH),
    }
    const made = { ended: telemetry.statement(verb), summary, attributes }
    if (known.size === KNOWN_MAX) known.clear()
    known.set(text, made)
    return made
  }

  return {
    begin(text) {
      const known = lookAt(text)
      const began = performance.now()
      const span = spans && startSpan(spans, known)
      return (error) => {
        known.ended((performance.now() - began) / 1000, error !== undefined)
        span?.end(error)
      }
    },
    past(text, millis, error) {
      const known = lookAt(text)
      known.ended(millis / 1000, error !== undefined)
      if (spans) startSpan(spans, known, millis).end(error)
    },
  }
}

function startSpan(spans: Spans, { summary, attributes }: Known, millisAgo = 0) {
  return spans.start(summary, { kind: 'client', attributes, millisAgo })
}

/** The first one that says what is done: one after `with` may be far in. */
function verbOf(text: string): string {
  const first = /^\W*(\w+)/.exec(text)?.[1]?.toUpperCase() ?? ''
  if (first !== 'WITH') return VERBS.has(first) ? first : 'OTHER'
  const inner = /\b(insert into|update|delete from)\b/i.exec(text)?.[1]?.split(' ')[0]
  return inner?.toUpperCase() ?? 'SELECT'
}

function tableOf(text: string): string | undefined {
  return /\b(?:from|into|update)\s+"?((?:statelens_|state_snapshots)\w*)/i.exec(text)?.[1]
}
