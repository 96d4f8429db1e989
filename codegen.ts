import { printSubgraphSchema } from '@apollo/subgraph'
import type { CodegenConfig } from '@graphql-codegen/cli'
import { printSchema } from 'graphql'
import { createClientSchema, schema } from './src/graphql/schema.ts'

/** The schema as a supergraph takes it: graphql's own printer would drop the keys. */
const sdl = printSubgraphSchema(schema)

/** As the tools of clients take it, most of which know nothing of federation. */
const clientSdl = printSchema(createClientSchema())

/** This file is also the plugin that writes both of them. */
export const plugin = (_schema: unknown, _documents: unknown, { isForClients }: { readonly isForClients?: boolean }) =>
  `# Written by "npm run codegen".\n${isForClients ? clientSdl : sdl}\n`

/** `npm run codegen` writes the schemas and the typed documents of the tests; `npm run schema` fails when either is stale. */
const config: CodegenConfig = {
  schema: clientSdl,
  documents: 'test/**/*.graphql',
  generates: {
    'schema.graphql': { plugins: ['./codegen.ts'] },
    'schema.client.graphql': { plugins: ['./codegen.ts'], config: { isForClients: true } },
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
