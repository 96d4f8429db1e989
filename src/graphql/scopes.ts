import {
  type DocumentNode,
  type GraphQLField,
  type GraphQLNamedType,
  type GraphQLSchema,
  getNamedType,
  type OperationDefinitionNode,
  TypeInfo,
  visit,
  visitWithTypeInfo,
} from 'graphql'
import type { Scope } from '../auth/viewer.ts'

/** What a field of a root asks for that is open to everybody who is known. */
const OPEN: ReadonlySet<string> = new Set(['Query.viewer', 'Query._service', 'Query.__schema', 'Query.__type'])

/** Mutations that ask for another scope than `write`. */
const MUTATIONS: Readonly<Record<string, Scope>> = {
  deleteRun: 'delete',
  deleteSnapshot: 'delete',
  holdRun: 'admin',
  markGolden: 'admin',
}

/**
 * What a mutation answers with to whoever may write and no more: by which names its caller finds again what he sent. Everything else of
 * a run, a step or a snapshot is for readers.
 */
const RECEIPTS: Readonly<Record<string, ReadonlySet<string> | 'all'>> = {
  Run: new Set(['id', 'runId']),
  Step: new Set(['id', 'runId', 'stepId']),
  Snapshot: new Set(['id', 'snapshotId', 'runId', 'stepId', 'seq', 'digest', 'sizeBytes', 'storageTier', 'createdAt']),
  CaptureSnapshotPayload: 'all',
  DeletePayload: 'all',
  UploadTicket: 'all',
  UploadPart: 'all',
  HttpHeader: 'all',
}

/** The scope that a field asks for, wherever it stands; null for none. A field that nothing is said of here asks for `read`. */
export function scopeOf(typeName: string, fieldName: string): Scope | null {
  if (OPEN.has(`${typeName}.${fieldName}`) || isOpenType(typeName) || fieldName === '__typename') return null
  if (typeName === 'Mutation') return MUTATIONS[fieldName] ?? 'write'
  const receipt = RECEIPTS[typeName]
  return receipt === 'all' || receipt?.has(fieldName) ? null : 'read'
}

/** Who asks, and what the schema is. */
function isOpenType(name: string): boolean {
  return name === 'Viewer' || name === '_Service' || name.startsWith('__')
}

/**
 * The scopes that an operation asks for, each once: of all of its fields, whatever its conditions say. They are asked for before any of
 * it is executed, so that nobody changes something and is then refused the answer.
 */
export function scopesOfOperation(
  schema: GraphQLSchema,
  document: DocumentNode,
  operation: OperationDefinitionNode,
): readonly Scope[] {
  const scopes = new Set<Scope>()
  const fragments = new Map(
    document.definitions.flatMap((node) => (node.kind === 'FragmentDefinition' ? [[node.name.value, node]] : [])),
  )
  const seen = new Set<string>()
  const look = (node: OperationDefinitionNode | DocumentNode['definitions'][number]) => {
    const types = new TypeInfo(schema)
    visit(
      node,
      visitWithTypeInfo(types, {
        Field() {
          const scope = scopeOfPlace(types.getParentType(), types.getFieldDef())
          if (scope) scopes.add(scope)
        },
        FragmentSpread({ name: { value: name } }) {
          const fragment = fragments.get(name)
          if (!fragment || seen.has(name)) return
          seen.add(name)
          look(fragment)
        },
      }),
    )
  }
  look(operation)
  return [...scopes]
}

function scopeOfPlace(
  parent: GraphQLNamedType | null | undefined,
  field: GraphQLField<unknown, unknown> | null | undefined,
): Scope | null {
  return parent && field ? scopeOf(getNamedType(parent).name, field.name) : null
}
