import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { copyFile, mkdir, writeFile } from 'node:fs/promises'
import { delimiter, join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { startServer, type TestServer } from '../support/server.ts'
import { temporaryFolder } from '../support/tmp.ts'

/** `npm run test:clients`: majors of clients and tools that are not in package.json, from the registry into a temporary folder. */
const PACKAGES = [
  'graphql@16.15.0',
  'urql-4@npm:@urql/core@4.3.0',
  'urql-5@npm:@urql/core@5.2.0',
  'request-3@npm:graphql-request@3.7.0',
  'request-4@npm:graphql-request@4.3.0',
  'request-5@npm:graphql-request@5.2.0',
  'request-6@npm:graphql-request@6.1.0',
  'apollo-3@npm:@apollo/client@3.14.0',
  'gql.tada@1.11.3',
  'typescript@5.9.3',
  '@graphql-codegen/cli@7.4.3',
  '@graphql-codegen/client-preset@6.2.0',
  '@graphql-typed-document-node/core@3.2.0',
]

const SCHEMA = fileURLToPath(new URL('../../schema.client.graphql', import.meta.url))
const RUN = 'query Run($runId: String!) { run(runId: $runId) { runId status } }'

const URQL = (name: string) => `
import { Client, fetchExchange } from '${name}'
const client = new Client({ url: process.env.ENDPOINT, exchanges: [fetchExchange] })
const { data, error } = await client.query(${JSON.stringify(RUN)}, { runId: 'r' }).toPromise()
const refused = await client.query('{ nothing }', {}).toPromise()
console.log(JSON.stringify([error ?? null, data.run.status, refused.error.graphQLErrors[0].extensions.code]))
`
const REQUEST = (name: string) => `
import * as loaded from '${name}'
const { request } = 'request' in loaded ? loaded : loaded.default
const data = await request(process.env.ENDPOINT, ${JSON.stringify(RUN)}, { runId: 'r' })
const code = await request(process.env.ENDPOINT, '{ nothing }').catch(({ response }) => response.errors[0].extensions.code)
console.log(JSON.stringify([null, data.run.status, code]))
`
const APOLLO = `
import core from 'apollo-3/core/core.cjs'
import persisted from 'apollo-3/link/persisted-queries/persisted-queries.cjs'
import { createHash } from 'node:crypto'
const { ApolloClient, HttpLink, InMemoryCache, gql } = core
const link = persisted.createPersistedQueryLink({ sha256: (text) => createHash('sha256').update(text).digest('hex') })
const client = new ApolloClient({ cache: new InMemoryCache(), link: link.concat(new HttpLink({ uri: process.env.ENDPOINT })) })
const { data } = await client.query({ query: gql(${JSON.stringify(RUN)}), variables: { runId: 'r' } })
const code = await client.query({ query: gql('{ nothing }') }).catch((error) => error.graphQLErrors[0].extensions.code)
console.log(JSON.stringify([null, data.run.status, code]))
client.stop()
`
const RUNTIMES: Readonly<Record<string, string>> = {
  'urql-4': URQL('urql-4'),
  'urql-5': URQL('urql-5'),
  ...Object.fromEntries([3, 4, 5, 6].map((major) => [`request-${major}`, REQUEST(`request-${major}`)])),
  'apollo-3': APOLLO,
}

const TADA = `
import { initGraphQLTada, type ResultOf } from 'gql.tada'
import type { introspection } from './introspection.js'
const graphql = initGraphQLTada<{
  introspection: introspection
  scalars: { BigInt: number | string; DateTime: string; JSON: unknown; URL: string }
}>()
const query = graphql('query ($runId: String!) { run(runId: $runId) { status createdAt steps { nodes { stepId } } } }')
export const read = ({ run }: ResultOf<typeof query>): string | undefined => run?.steps?.nodes[0]?.stepId
// @ts-expect-error there is no such field
export const missing = ({ run }: ResultOf<typeof query>) => run?.nothing
`
const CODEGEN = {
  schema: './schema.graphql',
  documents: 'app/*.ts',
  generates: {
    'app/gql/': {
      preset: 'client',
      presetConfig: { persistedDocuments: true },
      config: { scalars: { BigInt: 'number | string', DateTime: 'string', JSON: 'unknown', URL: 'string' } },
    },
  },
}
const DOCUMENT = `import { graphql } from './gql/index.js'
export const query = graphql(\`query App($first: Int) { runs(first: $first) { nodes { id status } } }\`)
`

describe('clients and tools as they are published', { timeout: 600_000 }, () => {
  let server: TestServer
  let folder: Awaited<ReturnType<typeof temporaryFolder>>

  const run = async (command: string, ...args: string[]) => {
    const path = [join(folder.path, 'node_modules/.bin'), process.env['PATH']].join(delimiter)
    const env = { ...process.env, PATH: path, ENDPOINT: `${server.url}/graphql`, NODE_OPTIONS: '' }
    return (await promisify(execFile)(command, args, { cwd: folder.path, env })).stdout
  }

  before(async () => {
    server = await startServer()
    await server.graphql('mutation { upsertRun(input: { runId: "r", status: RUNNING }) { runId } }')
    folder = await temporaryFolder()
    await mkdir(join(folder.path, 'app'), { recursive: true })
    await writeFile(join(folder.path, 'package.json'), '{ "type": "module", "private": true }')
    await copyFile(SCHEMA, join(folder.path, 'schema.graphql'))
    await run('npm', 'install', '--no-audit', '--no-fund', '--legacy-peer-deps', '--ignore-scripts', ...PACKAGES)
  })
  after(async () => {
    await folder?.[Symbol.asyncDispose]()
    await server?.[Symbol.asyncDispose]()
  })

  for (const [name, script] of Object.entries(RUNTIMES)) {
    it(`${name} asks, and reads an error's code`, async () => {
      await writeFile(join(folder.path, `${name}.js`), script)
      const printed = await run(process.execPath, `${name}.js`)
      assert.deepEqual(JSON.parse(printed), [null, 'RUNNING', 'GRAPHQL_VALIDATION_FAILED'])
    })
  }

  it('gql.tada and graphql-codegen make types that TypeScript takes', async () => {
    const tada = { schema: './schema.graphql', tadaOutputLocation: './app/introspection.d.ts' }
    const plugins = [{ name: 'gql.tada/ts-plugin', ...tada }]
    const compilerOptions = {
      target: 'es2023',
      module: 'esnext',
      moduleResolution: 'bundler',
      strict: true,
      noEmit: true,
      types: [],
      plugins,
    }
    await writeFile(join(folder.path, 'tsconfig.json'), JSON.stringify({ compilerOptions, include: ['app'] }))
    await run('gql.tada', 'generate-output')
    await writeFile(join(folder.path, 'app/tada.ts'), TADA)
    await writeFile(join(folder.path, 'app/document.ts'), DOCUMENT)
    await writeFile(join(folder.path, 'codegen.json'), JSON.stringify(CODEGEN))
    await run('graphql-codegen', '--config', 'codegen.json')
    await run('tsc')
  })
})
