import type { GraphQLResolveInfo, SelectionSetNode } from 'graphql'

/** The part of the schema that the queries use, with the names of statelens: for peers that begin with a schema. */
export const SCHEMA = `
  scalar DateTime
  scalar BigInt
  scalar JSON

  type Query {
    run(runId: String!): Run
    runs(filter: RunFilter, first: Int = 20, after: String): RunConnection!
    snapshot(runId: String!, stepId: String!): Snapshot
  }

  type Mutation {
    "One row, and nothing else."
    createState(runId: String!, stepId: String!, state: JSON!): State!
  }
  type State { id: ID! createdAt: DateTime! }

  input RunFilter { workflowName: String }

  type PageInfo { hasNextPage: Boolean! endCursor: String }
  type RunConnection { pageInfo: PageInfo! edges: [RunEdge!]! }
  type RunEdge { node: Run! cursor: String! }
  type StepConnection { pageInfo: PageInfo! edges: [StepEdge!]! }
  type StepEdge { node: Step! cursor: String! }

  type Run {
    runId: String!
    workflowName: String
    status: String!
    createdAt: DateTime!
    steps(first: Int = 20): StepConnection!
  }

  type Step {
    runId: String!
    stepId: String!
    index: Int
    name: String
    status: String!
    startedAt: DateTime
    endedAt: DateTime
    snapshot: Snapshot
  }

  type Snapshot {
    snapshotId: ID!
    seq: BigInt!
    kind: String!
    createdAt: DateTime!
    isSuccessState: Boolean!
    isGolden: Boolean!
    sizeBytes: BigInt
    digest: String
    payload: JSON
  }
`

/** Whether the selection below a field asks for payloads, so that only then their column is read. */
export function wantsPayload({ fieldNodes, fragments }: GraphQLResolveInfo): boolean {
  const within = (set: SelectionSetNode | undefined): boolean =>
    set?.selections.some((selection) => {
      if (selection.kind === 'Field') return selection.name.value === 'payload'
      if (selection.kind === 'InlineFragment') return within(selection.selectionSet)
      return within(fragments[selection.name.value]?.selectionSet)
    }) ?? false
  return fieldNodes.some(({ selectionSet }) => within(selectionSet))
}
