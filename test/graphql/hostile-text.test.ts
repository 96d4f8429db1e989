import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { put } from '../support/put.ts'
import { createRandom } from '../support/random.ts'
import { startServer, type TestServer } from '../support/server.ts'

const PIECES = [
  '\0',
  '\ud800',
  '\udc00',
  '\udfff\ud83d',
  '😀',
  '\ufeff',
  '\u202e',
  '\u2028',
  '\ufffe',
  '\uffff',
  '\x7f',
  '\x1b',
  '\n',
  '\r\n',
  '\t',
  "'",
  '"',
  '\\',
  '\\u0000',
  '\\x00',
  '%00',
  '%',
  '--',
  ';',
  '{',
  '}',
  '{}',
  '{"',
  '[',
  ',',
  'NULL',
  'null',
  '\\N',
  '::text',
  '$1',
  'e\u0301',
  'é',
  'ＮＵＬ',
  ' ',
  '',
  'x'.repeat(300),
  '日'.repeat(90),
]
const INSTANTS = [
  '0000-01-01T00:00:00Z',
  '0001-01-01T00:00:00Z',
  '9999-12-31T23:59:59.999Z',
  '+010000-01-01T00:00:00Z',
  '-004713-01-01T00:00:00Z',
  '294277-01-01T00:00:00Z',
  '2024-02-30T00:00:00Z',
  '2024-01-01T24:00:00Z',
  '2024-01-01T00:00:60Z',
  '2024-01-01',
  'infinity',
  '-infinity',
  'now',
  '',
  '1e400',
  '2024-01-01T00:00:00+99:99',
  '9999-12-31T23:59:59-23:59',
  '0001-01-01T00:00:00+23:59',
]
const CODES = [
  'BAD_REQUEST',
  'NOT_FOUND',
  'CONFLICT',
  'INVALID_PAYLOAD',
  'GRAPHQL_VALIDATION_FAILED',
  'GRAPHQL_PARSE_FAILED',
  'PAYLOAD_TOO_LARGE',
  'UNSUPPORTED_MEDIA_TYPE',
]

/** What PostgreSQL refuses (SQLSTATE of class 22) has been refused here before, by name: its own words never count. */
function isForeseen(message: string): boolean {
  return !/database|SQL|PostgreSQL refused|cannot hold/i.test(message)
}

describe('hostile texts in all that a capture says', () => {
  let server: TestServer
  before(async () => {
    server = await startServer()
  })
  after(() => server[Symbol.asyncDispose]())

  const random = createRandom(1616)
  const pick = <T>(choices: readonly T[]) => choices[Math.floor(random() * choices.length)] as T
  const text = () => Array.from({ length: Math.floor(random() * 4) }, () => pick(PIECES)).join('')

  it('A21: by PUT are taken or refused by what they are, and none of them reaches the database that cannot hold it', async () => {
    let [taken, refused] = [0, 0]
    for (let i = 0; i < 400; i++) {
      const encode = (value: string) =>
        random() < 0.2 ? value.replace(/[^\w.~-]/g, '') : encodeURIComponent(value.toWellFormed())
      const query = [
        'kind=OUTPUT',
        ...(random() < 0.5 ? [`piiTags=${encode(text())}`] : []),
        ...(random() < 0.3 ? [`redactionPolicy=${encode(text())}`] : []),
      ].join('&')
      const latin = (value: string) =>
        Buffer.from(value.toWellFormed())
          .toString('latin1')
          .replace(/[^\t\x20-\x7e\x80-\xff]/g, '')
      const headers: Record<string, string> = {}
      if (random() < 0.6) headers['idempotency-key'] = latin(text())
      if (random() < 0.2)
        headers['content-type'] =
          `application/json; charset=utf-8; x=${latin(text()).replace(/[^\x20-\x7e\x80-\xff]/g, '')}`
      if (random() < 0.2) headers['x-request-id'] = latin(text()).replace(/[^\x20-\x7e\x80-\xff]/g, '')
      const body = random() < 0.5 ? JSON.stringify({ [text()]: text() }) : `{"a":"${pick(PIECES)}"}`
      const target = { runId: text().toWellFormed() || 'r', stepId: text().toWellFormed() || 's' }
      const answer = await put(server.url, body, { ...target, query, headers }).catch((error: Error) => {
        // A header that no client can send.
        assert.match(String(error), /Invalid character|ECONNRESET|Parse Error/)
      })
      if (!answer) continue
      if (answer.status === 200 || answer.status === 201) taken++
      else {
        const { code, message = '' } = JSON.parse(answer.body.toString())
        assert.ok(CODES.includes(code), `${answer.status} ${code} ${JSON.stringify({ target, query, headers, body })}`)
        assert.ok(isForeseen(message), `${message} ${JSON.stringify({ target, query, headers, body })}`)
        refused++
      }
    }
    assert.ok(taken > 40 && refused > 40, `${taken} taken, ${refused} refused`)
  })

  it('A21: by a mutation are as well', async () => {
    const mutation = `mutation ($input: CaptureSnapshotInput!) { captureSnapshot(input: $input) { snapshot { snapshotId } } }`
    let [taken, refused] = [0, 0]
    for (let i = 0; i < 400; i++) {
      const maybe = <T>(share: number, name: string, make: () => T) => (random() < share ? { [name]: make() } : {})
      const input = {
        runId: text() || 'r',
        stepId: text() || 's',
        payload: { [text()]: [text()] },
        ...maybe(0.5, 'idempotencyKey', text),
        ...maybe(0.4, 'metadata', () => ({ [text()]: text() })),
        ...maybe(0.5, 'piiTags', () => [text(), text()]),
        ...maybe(0.3, 'redactionPolicy', text),
        ...maybe(0.3, 'contentType', text),
        ...maybe(0.4, 'expiresAt', () => pick(INSTANTS)),
        ...maybe(0.1, 'attempt', () => pick([0, -1, 2 ** 31 - 1])),
      }
      const { data, errors = [] } = await server.graphql(mutation, { input })
      if (errors.length === 0) {
        assert.ok(data)
        taken++
      }
      for (const { message, extensions } of errors) {
        assert.ok(CODES.includes(extensions.code), `${extensions.code} ${message} ${JSON.stringify(input)}`)
        assert.ok(isForeseen(message), `${message} ${JSON.stringify(input)}`)
        refused++
      }
    }
    assert.ok(taken > 20 && refused > 40, `${taken} taken, ${refused} refused`)
  })
})
