import { printSubgraphSchema } from '@apollo/subgraph'
import type { CodegenConfig } from '@graphql-codegen/cli'
import { schema } from './src/graphql/schema.ts'

/** The schema as a supergraph takes it: graphql's own printer would drop the keys. */
const sdl = printSubgraphSchema(schema)

/** This file is also the plugin that writes `schema.graphql`. */
export const plugin = () => `# Written by "npm run codegen".\n${sdl}`

/** `npm run codegen` writes the schema and the typed documents of the tests; `npm run schema` fails when either is stale. */
const config: CodegenConfig = {
  schema: sdl,
  documents: 'test/**/*.graphql',
  generates: {
    'schema.graphql': { plugins: ['./codegen.ts'] },
    'test/generated/documents.ts': {
      plugins: ['typescript-operations', 'typed-document-node'],
      config: {
        importExtension: '.ts',
        useTypeImports: true,
        enumsAsTypes: true,
        scalars: { BigInt: 'number', DateTime: 'string', JSON: 'unknown', URL: 'string' },
      },
    },
  },
}

export default config
