import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { after, before, beforeEach, describe, it } from 'node:test'
import { ApolloClient, CombinedGraphQLErrors, gql, HttpLink, InMemoryCache } from '@apollo/client'
import { PersistedQueryLink } from '@apollo/client/link/persisted-queries'
import { Client, fetchExchange } from '@urql/core'
import { persistedExchange } from '@urql/exchange-persisted'
import { request } from 'graphql-request'
import { startServer, type TestServer } from '../support/server.ts'

const RUN = 'query Run($runId: String!) { run(runId: $runId) { runId status } }'
const FOUND = { runId: 'r', status: 'RUNNING' }
const REFUSED = 'query Refused($runId: String!) { runs(first: 101, filter: { search: $runId }) { nodes { runId } } }'
const UNKNOWN = 'query Unknown { nothingOfThatName }'

let server: TestServer
let endpoint = ''
/** Methods of the requests so far. */
const methods: string[] = []

const countingFetch: typeof fetch = (input, init) => {
  methods.push(init?.method ?? 'GET')
  return fetch(input, init)
}
const sha256 = async (text: string) => createHash('sha256').update(text).digest('hex')

before(async () => {
  server = await startServer()
  endpoint = `${server.url}/graphql`
  await server.graphql('mutation { upsertRun(input: { runId: "r", status: RUNNING }) { runId } }')
})
after(() => server[Symbol.asyncDispose]())
beforeEach(() => {
  methods.length = 0
})

describe('urql', () => {
  it('asks by GET, as it does of itself, and gets errors with their codes', async () => {
    const client = new Client({ url: endpoint, exchanges: [fetchExchange], fetch: countingFetch })
    const { data, error } = await client.query(RUN, { runId: 'r' })
    assert.deepEqual([error, data.run.runId, methods], [undefined, 'r', ['GET']])
    for (const [text, code] of [
      [REFUSED, 'BAD_REQUEST'],
      [UNKNOWN, 'GRAPHQL_VALIDATION_FAILED'],
    ] as const) {
      const refused = await client.query(text, { runId: 'r' })
      assert.equal(refused.error?.graphQLErrors[0]?.extensions['code'], code)
    }
    const changed = await client.mutation('mutation { upsertRun(input: { runId: "r" }) { runId } }', {})
    assert.deepEqual([changed.error, changed.data.upsertRun.runId], [undefined, 'r'])
  })

  it('sends queries by their hash first, and then no more', async () => {
    for (const preferGetForPersistedQueries of [true, false]) {
      methods.length = 0
      const exchanges = [persistedExchange({ preferGetForPersistedQueries, generateHash: sha256 }), fetchExchange]
      const client = new Client({ url: endpoint, exchanges, fetch: countingFetch, preferGetMethod: false })
      for (const expected of [2, 3]) {
        const { data, error } = await client.query(RUN, { runId: 'r' }, { requestPolicy: 'network-only' })
        assert.deepEqual([error, data?.run.runId, methods.length], [undefined, 'r', expected])
      }
    }
  })
})

describe('Apollo Client', () => {
  const query = gql(RUN)
  const variables = { runId: 'r' }
  const clientOf = (link: ApolloClient.Options['link']) =>
    new ApolloClient({ cache: new InMemoryCache(), link, defaultOptions: { query: { fetchPolicy: 'network-only' } } })

  it('asks by POST and by GET, and gets errors with their codes', async () => {
    for (const useGETForQueries of [false, true]) {
      const client = clientOf(new HttpLink({ uri: endpoint, fetch: countingFetch, useGETForQueries }))
      const { data } = await client.query<{ run: object }>({ query, variables })
      assert.deepEqual(data?.run, { __typename: 'Run', ...FOUND })
      for (const [text, code] of [
        [REFUSED, 'BAD_REQUEST'],
        [UNKNOWN, 'GRAPHQL_VALIDATION_FAILED'],
      ] as const) {
        const asked = client.query({ query: gql(text), variables })
        await assert.rejects(asked, (error) => {
          assert.ok(CombinedGraphQLErrors.is(error), String(error))
          assert.equal(error.errors[0]?.extensions?.['code'], code)
          return true
        })
      }
      client.stop()
    }
    assert.ok(methods.includes('GET') && methods.includes('POST'))
  })

  it('is told a code also where its request is refused before anything is read of it', async () => {
    const client = clientOf(new HttpLink({ uri: endpoint }))
    const asked = client.query({ query, variables: { runId: 'x'.repeat(3_000_000) } })
    await assert.rejects(asked, (error) => {
      assert.ok(CombinedGraphQLErrors.is(error), String(error))
      assert.equal(error.errors[0]?.extensions?.['code'], 'PAYLOAD_TOO_LARGE')
      return true
    })
    client.stop()
  })

  it('sends queries by their hash first, and then no more', async () => {
    for (const useGETForHashedQueries of [true, false]) {
      methods.length = 0
      const persisted = new PersistedQueryLink({ sha256, useGETForHashedQueries })
      const client = clientOf(persisted.concat(new HttpLink({ uri: endpoint, fetch: countingFetch })))
      for (const expected of [2, 3]) {
        const { data } = await client.query<{ run: object }>({ query, variables })
        assert.deepEqual([data?.run, methods.length], [{ __typename: 'Run', ...FOUND }, expected])
      }
      client.stop()
    }
  })
})

it('graphql-request asks by POST', async () => {
  assert.deepEqual(await request(endpoint, RUN, { runId: 'r' }), { run: FOUND })
  await assert.rejects(request(endpoint, UNKNOWN), ({ response }) => {
    assert.equal(response.errors[0].extensions.code, 'GRAPHQL_VALIDATION_FAILED')
    return true
  })
})

it('a client that sends null for every argument that it does not set gets the defaults', async () => {
  const text = `query($null: Int, $runs: RunOrder, $snapshots: SnapshotOrder, $text: String, $filter: RunFilter, $of: SnapshotFilter,
      $yes: Boolean, $disposition: Disposition, $at: DateTime, $seq: BigInt) {
    runs(first: $null, last: $null, after: $text, before: $text, orderBy: $runs, filter: $filter) { nodes { runId } }
    snapshot(runId: "r", stepId: "s", useCache: $yes) {
      payload(maxBytes: $null) integrity(verify: $yes) signedUrl(expiresIn: $null, disposition: $disposition, filename: $text)
      download(expiresIn: $null, disposition: $disposition, filename: $text) { filename }
    }
    run(runId: "r") {
      stateAt(at: $at, seq: $seq) { stepId }
      steps(first: $null, last: $null, after: $text, before: $text) { nodes { stepId snapshots(orderBy: $snapshots) { totalCount } } }
      snapshots(first: $null, last: $null, after: $text, before: $text, orderBy: $snapshots, filter: $of) { nodes { stepId } }
    }
  }`
  await server.graphql(
    'mutation { captureSnapshot(input: { runId: "r", stepId: "s", payload: [1], attempt: null, kind: null, metadata: null, isSuccessState: null, replaySafe: null, piiTags: null }) { created } }',
  )
  const names = ['null', 'runs', 'snapshots', 'text', 'filter', 'of', 'yes', 'disposition', 'at', 'seq']
  const { data, errors } = await server.graphql(text, Object.fromEntries(names.map((name) => [name, null])))
  assert.deepEqual(errors, undefined)
  const without = await server.graphql(text, {})
  assert.deepEqual(data, without.data)
})
