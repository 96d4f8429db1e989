import { createHash } from 'node:crypto'

/** The operations that may run where no others may. */
export interface TrustedDocuments {
  /** The text of one, by its id or the SHA-256 of its text in hex; undefined where there is none. */
  find(id: string): string | undefined
  /** Whether it is the text of one of them, letter for letter. */
  has(text: string): boolean
}

export interface TrustedDocumentsFile {
  readonly value: TrustedDocuments
  readonly problems: readonly string[]
}

/**
 * Reads `{"<id>": "<text>", …}`, as Relay and code generators write it, or Apollo's manifest of persisted queries. Where an id looks like
 * a SHA-256, it must be that of its text. Undefined: the file cannot be read, and nothing is trusted.
 */
export function parseTrustedDocuments(text: string | undefined): TrustedDocumentsFile {
  if (text === undefined) return { value: documentsOf([]), problems: ['cannot be read'] }
  const entries = entriesOf(tryParse(text))
  if (!entries) return { value: documentsOf([]), problems: ['is no JSON object of documents'] }
  const good = entries.filter((entry): entry is Entry => typeof entry[1] === 'string' && isOwnDigest(entry as Entry))
  const wrong = entries.length - good.length
  const problems =
    wrong === 0 ? [] : [`has ${wrong} document(s) that are no text, or have another SHA-256 than their id says`]
  return { value: documentsOf(good), problems }
}

type Entry = readonly [id: string, text: string]

function documentsOf(entries: readonly Entry[]): TrustedDocuments {
  const texts = new Set(entries.map(([, text]) => text))
  const byId = new Map(entries.flatMap(([id, text]) => [[id, text] as const, [sha256Of(text), text] as const]))
  return { find: (id) => byId.get(id.replace(/^sha256:/, '')), has: (text) => texts.has(text) }
}

function entriesOf(parsed: unknown): readonly (readonly [string, unknown])[] | undefined {
  if (typeof parsed !== 'object' || parsed === null || Array.isArray(parsed)) return undefined
  if (!('operations' in parsed) || !Array.isArray(parsed.operations)) return Object.entries(parsed)
  return parsed.operations.map((operation: unknown) => {
    const { id, body } = (operation ?? {}) as { readonly id?: unknown; readonly body?: unknown }
    return [String(id), body] as const
  })
}

function isOwnDigest([id, text]: Entry): boolean {
  return !/^[0-9a-f]{64}$/.test(id) || id === sha256Of(text)
}

function sha256Of(text: string): string {
  return createHash('sha256').update(text).digest('hex')
}

function tryParse(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
