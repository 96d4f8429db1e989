/** A subgraph of its own: orders, each worked off by a run that statelens knows. */
import { createServer, type Server } from 'node:http'
import { buildSubgraphSchema } from '@apollo/subgraph'
import { parse } from 'graphql'
import { createYoga } from 'graphql-yoga'

export const ORDERS_SDL = `
extend schema @link(url: "https://specs.apollo.dev/federation/v2.6", import: ["@key", "@external", "@requires"])

type Query {
  orders(first: Int!): [Order!]!
}

type Order @key(fields: "id") {
  id: ID!
  "Null where nothing is recorded of it yet."
  run: Run
}

"What orders know of a run: statelens has all the rest."
type Run @key(fields: "runId") {
  runId: String!
  workflowName: String @external
  "Whom to ask, by the workflow that statelens names."
  contact: String! @requires(fields: "workflowName")
}
`

export interface Order {
  readonly id: string
  readonly runId: string
}

interface RunReference {
  readonly runId: string
  readonly workflowName?: string | null
}

export function createOrders(orders: readonly Order[]): Server {
  const schema = buildSubgraphSchema({
    typeDefs: parse(ORDERS_SDL),
    resolvers: {
      Query: { orders: (_root: unknown, { first }: { first: number }) => orders.slice(0, first) },
      Order: { run: ({ runId }: Order) => ({ runId }) },
      Run: {
        __resolveReference: (reference: RunReference) => reference,
        contact: ({ workflowName }: RunReference) => `${workflowName ?? 'runs'}@example.com`,
      },
    },
  })
  return createServer(createYoga({ schema, logging: false, landingPage: false }))
}
