import assert from 'node:assert/strict'
import { it } from 'node:test'
import { codesOf, send } from '../support/http.ts'
import { startServer } from '../support/server.ts'

it('without INTROSPECTION nobody is told the schema, and all else is answered', async () => {
  await using server = await startServer({ env: { INTROSPECTION: 'false' } })
  for (const query of [
    '{ __schema { queryType { name } } }',
    '{ ...F } fragment F on Query { a: __type(name: "Run") { name } }',
    '{ _service { sdl } }',
  ]) {
    for (let time = 0; time < 2; time++) {
      const { status, errors = [] } = await server.graphql(query)
      assert.equal(status, 400)
      assert.deepEqual([...new Set(errors.map(({ extensions }) => extensions.code))], ['GRAPHQL_VALIDATION_FAILED'])
    }
  }
  const { data } = await server.graphql('{ __typename run(runId: "r") { __typename } }')
  assert.deepEqual(data, { __typename: 'Query', run: null })
})

it('without GRAPHIQL a browser gets what a program gets', async () => {
  await using server = await startServer({ env: { GRAPHIQL: 'false' } })
  const headers = { accept: 'text/html,application/xhtml+xml,*/*;q=0.8' }
  const page = await send(server.url, { target: '/graphql', headers })
  assert.deepEqual([page.status, codesOf(page)], [400, ['BAD_REQUEST']], 'it asks for nothing')
  const asked = { ...headers, 'graphql-require-preflight': '1' }
  assert.equal((await send(server.url, { target: '/graphql?query={__typename}', headers: asked })).status, 200)
})
