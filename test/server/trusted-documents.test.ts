import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { parseTrustedDocuments } from '../../src/server/trusted-documents.ts'
import { codesOf, send } from '../support/http.ts'
import { startServer } from '../support/server.ts'
import { temporaryFolder } from '../support/tmp.ts'

const KNOWN = 'query Who { viewer { mode } }'
const hashOf = (text: string) => createHash('sha256').update(text).digest('hex')

describe('where only some operations are trusted', () => {
  it('they run by their text, their id, and the hash that clients of persisted queries send; nothing else does', async () => {
    await using folder = await temporaryFolder()
    const path = join(folder.path, 'documents.json')
    await writeFile(path, JSON.stringify({ [hashOf(KNOWN)]: KNOWN, short: 'query Short { viewer { name } }' }))
    await using server = await startServer({ env: { TRUSTED_DOCUMENTS_FILE: path } })
    const post = (body: object) =>
      send(server.url, {
        method: 'POST',
        target: '/graphql',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify(body),
      })
    const persistedQuery = { version: 1, sha256Hash: hashOf(KNOWN) }
    const good = [
      { query: KNOWN },
      { query: KNOWN, operationName: 'Who' },
      { documentId: hashOf(KNOWN) },
      { documentId: `sha256:${hashOf(KNOWN)}` },
      { extensions: { persistedQuery } },
      { query: KNOWN, extensions: { persistedQuery } },
      { documentId: 'short' },
    ]
    for (const body of good) {
      const answer = await post(body)
      assert.deepEqual([answer.status, codesOf(answer)], [200, []], JSON.stringify(body))
    }
    const other = { version: 1, sha256Hash: hashOf('{ __typename }') }
    const wrong = [
      { query: `${KNOWN} ` },
      { query: '{ __typename }' },
      { query: '{ __typename }', documentId: hashOf(KNOWN) },
      { query: '{ __typename }', extensions: { persistedQuery } },
      { query: '{ __typename }', extensions: { persistedQuery: other } },
      { extensions: { persistedQuery: other } },
      { documentId: '__proto__' },
      { documentId: 5 },
      {},
    ]
    for (const body of wrong) {
      const answer = await post(body)
      assert.deepEqual([answer.status, codesOf(answer)], [403, ['FORBIDDEN']], JSON.stringify(body))
    }
    const get = await send(server.url, { target: `/graphql?documentId=${hashOf(KNOWN)}` })
    assert.deepEqual(JSON.parse(get.body.toString()), { data: { viewer: { mode: 'NONE' } } })
  })
})

describe('a file of trusted documents', () => {
  it("is a map of ids, or Apollo's manifest", () => {
    const manifest = {
      format: 'apollo-persisted-query-manifest',
      version: 1,
      operations: [{ id: hashOf(KNOWN), name: 'Who', type: 'query', body: KNOWN }],
    }
    for (const file of [{ [hashOf(KNOWN)]: KNOWN }, { some: KNOWN }, manifest]) {
      const { value, problems } = parseTrustedDocuments(JSON.stringify(file))
      assert.deepEqual([problems, value.find(hashOf(KNOWN)), value.has(KNOWN)], [[], KNOWN, true])
    }
  })

  it('is refused when it is none, and trusts nothing that is not what its id says', () => {
    for (const text of [
      undefined,
      '',
      '[]',
      '5',
      'null',
      '{"a": 5}',
      `{"${hashOf('x')}": "y"}`,
      '{"operations": [null]}',
    ]) {
      const { value, problems } = parseTrustedDocuments(text)
      assert.deepEqual([problems.length, value.has('y'), value.find(hashOf('x'))], [1, false, undefined], text)
    }
  })
})
