import { printSubgraphSchema } from '@apollo/subgraph'
import type { CodegenConfig } from '@graphql-codegen/cli'
import {
  type ASTNode,
  type DefinitionNode,
  type DocumentNode,
  type FragmentDefinitionNode,
  Kind,
  print,
  printSchema,
  stripIgnoredCharacters,
  visit,
} from 'graphql'
import { createClientSchema, schema } from './src/graphql/schema.ts'

/** The schema as a supergraph takes it: graphql's own printer would drop the keys. */
const sdl = printSubgraphSchema(schema)

/** As the tools of clients take it, most of which know nothing of federation. */
const clientSdl = printSchema(createClientSchema())

interface PluginOptions {
  /** What to write; the schema as a supergraph takes it when left out. */
  readonly of?: 'client schema' | 'plain documents'
}

/** This file is also the plugin that writes both of them, and documents for a page, where each byte counts. */
export const plugin = (_schema: unknown, sources: readonly DocumentSource[], { of }: PluginOptions) =>
  of === 'plain documents'
    ? plainDocuments(sources.flatMap(({ document }) => document?.definitions ?? []))
    : `# Written by "npm run codegen".\n${of === 'client schema' ? clientSdl : sdl}\n`

interface DocumentSource {
  readonly document?: DocumentNode
}

/** Each operation as a string without a needless character, with the fragments that it uses, and with the types of its answer. */
function plainDocuments(definitions: readonly DefinitionNode[]): string {
  const fragments = new Map(
    definitions.flatMap((one) => (one.kind === Kind.FRAGMENT_DEFINITION ? [[one.name.value, one]] : [])),
  )
  const withFragments = (definition: DefinitionNode): readonly DefinitionNode[] => {
    const used = new Map<string, FragmentDefinitionNode>()
    const collect = (node: ASTNode) =>
      visit(node, {
        FragmentSpread({ name: { value } }) {
          const fragment = fragments.get(value)
          if (!fragment || used.has(value)) return
          used.set(value, fragment)
          collect(fragment)
        },
      })
    collect(definition)
    return [definition, ...used.values()]
  }
  const lines = definitions.flatMap((one) => {
    if (one.kind !== Kind.OPERATION_DEFINITION || one.name === undefined) return []
    const type = `${one.name.value}${one.operation === 'query' ? 'Query' : 'Subscription'}`
    const text = stripIgnoredCharacters(print({ kind: Kind.DOCUMENT, definitions: withFragments(one) }))
    return [`export const ${one.name.value}Document: TypedText<${type}, ${type}Variables> = ${JSON.stringify(text)}`]
  })
  const typed =
    'export type TypedText<Data, Variables> = string & { readonly __types?: (variables: Variables) => Data }'
  return ['', typed, ...lines].join('\n')
}

const scalars = { BigInt: 'number', DateTime: 'string', JSON: 'unknown', URL: 'string', JSONPointer: 'string' }

/** `npm run codegen` writes the schemas and the typed documents of the tests and the explorer; `npm run schema` fails when one is stale. */
const config: CodegenConfig = {
  schema: clientSdl,
  generates: {
    'schema.graphql': { plugins: ['./codegen.ts'] },
    'schema.client.graphql': { plugins: ['./codegen.ts'], config: { of: 'client schema' } },
    'test/generated/documents.ts': {
      documents: 'test/**/*.graphql',
      plugins: ['typescript-operations', 'typed-document-node'],
      config: {
        importExtension: '.ts',
        useTypeImports: true,
        enumsAsTypes: true,
        scalars,
      },
    },
    'src/explorer/generated/documents.ts': {
      documents: 'src/explorer/**/*.graphql',
      plugins: ['typescript-operations', './codegen.ts'],
      config: { useTypeImports: true, enumsAsTypes: true, of: 'plain documents', scalars },
    },
  },
}

export default config
