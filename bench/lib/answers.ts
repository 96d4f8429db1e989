import assert from 'node:assert/strict'
import { withClient } from './database.ts'
import { askOnce } from './load.ts'
import type { BenchQuery } from './queries.ts'
import { createRandom } from './statistics.ts'

export interface Answering {
  readonly name: string
  readonly origin: string
  readonly dialect: 'statelens' | 'postgraphile'
  /** Whether its payloads are the stored bytes, or may be written anew. */
  readonly keepsBytes: boolean
}

const ROUNDS = 5

/**
 * Asks every server the same, and compares: the data after one mapping of how values are written, and the bytes of the payloads
 * with what is stored.
 * @returns the bytes of the shortest answer to each query
 * @throws AssertionError naming the server and the query that differ
 */
export async function proveEqual(
  servers: readonly Answering[],
  queries: readonly BenchQuery[],
  { url, runs }: { readonly url: string; readonly runs: number },
): Promise<ReadonlyMap<string, number>> {
  const shortest = new Map<string, number>()
  const random = createRandom(1)
  for (const query of queries) {
    for (let round = 0; round < ROUNDS; round++) {
      const variables = query.variables(random, runs)
      let expected: unknown
      for (const server of servers) {
        const text = await askOnce(server.origin, bodyOf(query, server.dialect, variables))
        const { data, errors } = JSON.parse(text)
        const where = `${server.name}, ${query.name} ${JSON.stringify(variables)}`
        assert.equal(errors, undefined, where)
        const answer = normalise(data)
        expected ??= answer
        assert.deepEqual(answer, expected, `${where}: not what ${servers[0]?.name} answers`)
        if (query.hasPayload && server.keepsBytes) await compareBytes(text, url, where)
        shortest.set(
          query.name,
          Math.min(shortest.get(query.name) ?? Number.POSITIVE_INFINITY, Buffer.byteLength(text)),
        )
      }
    }
  }
  return shortest
}

export function bodyOf(
  { name, text, postgraphile }: BenchQuery,
  dialect: Answering['dialect'],
  variables: Readonly<Record<string, string>>,
): string {
  return JSON.stringify({ query: dialect === 'statelens' ? text : postgraphile, operationName: name, variables })
}

/** The same value in the same form: instants to the millisecond, 64-bit integers as numbers, digests in hexadecimal. */
function normalise(value: unknown, name?: string): unknown {
  if (value === null || name === 'payload') return value
  if (Array.isArray(value)) return value.map((item) => normalise(item))
  if (typeof value === 'object') {
    return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, normalise(inner, key)]))
  }
  if (name?.endsWith('At')) return new Date(String(value)).toISOString()
  if (name === 'seq' || name === 'sizeBytes') return Number(value)
  if (name === 'digest') return String(value).replace(/^(?!sha256:).*/, (text) => `sha256:${hexOf(text)}`)
  // Opaque: each server has its own.
  if (name === 'endCursor') return typeof value
  return value
}

function hexOf(base64: string): string {
  return Buffer.from(base64, 'base64').toString('hex')
}

async function compareBytes(text: string, url: string, where: string): Promise<void> {
  const ids = [...text.matchAll(/"snapshotId":"([^"]+)"/g)].map(([, id]) => id)
  const { rows } = await withClient(url, (client) =>
    client.query('select id, snapshot::text as payload from state_snapshots where id = any($1::uuid[])', [ids]),
  )
  const stored = new Map<string, string>(rows.map(({ id, payload }) => [id, payload]))
  const sent = payloadTexts(text)
  assert.equal(sent.length, ids.length, where)
  for (const [i, id] of ids.entries()) assert.equal(sent[i], stored.get(id ?? ''), `${where}: bytes of ${id}`)
}

/** The text of each payload in an answer, as it stands there. */
function payloadTexts(text: string): string[] {
  const texts: string[] = []
  const mark = '"payload":'
  for (let at = text.indexOf(mark); at !== -1; at = text.indexOf(mark, at)) {
    const start = at + mark.length
    at = endOfValue(text, start)
    texts.push(text.slice(start, at))
  }
  return texts
}

/** Behind the object that begins at `start`. */
function endOfValue(text: string, start: number): number {
  const token = /"(?:[^"\\]|\\.)*"|[{}[\]]/g
  token.lastIndex = start
  let depth = 0
  for (let match = token.exec(text); match; match = token.exec(text)) {
    if (match[0] === '{' || match[0] === '[') depth++
    if (match[0] === '}' || match[0] === ']') depth--
    if (depth === 0) return token.lastIndex
  }
  return text.length
}
