import { defaultFieldResolver, type GraphQLSchema, isObjectType } from 'graphql'
import { builder } from './builder.ts'
import { isolateEntities } from './entities.ts'
import './scalars.ts'
import './types/viewer.ts'
import './types/run.ts'
import './types/step.ts'
import './types/run-by-id.ts'
import './types/run-comparison.ts'
import './types/snapshot.ts'
import './types/snapshot-lists.ts'
import './types/json-node.ts'
import './types/json-match.ts'
import './types/snapshot-diff.ts'
import './types/node.ts'
import './types/integrity.ts'
import './types/download.ts'
import './types/capture.ts'
import './types/golden.ts'
import './types/upload.ts'
import './types/events.ts'

const DESCRIPTION = `State snapshots of workflow runs. A run has steps, a step has snapshots, and a snapshot has a payload: the state itself,
byte for byte as it was captured, at any size. Ask for metadata alone and no payload is read. Lists are Relay connections.`

export const schema = withoutDefaultResolvers(
  isolateEntities(described(builder.toSubGraphSchema({ linkUrl: 'https://specs.apollo.dev/federation/v2.6' }))),
)

/** The same without what only a supergraph asks for: for the tools of clients, most of which know nothing of federation. */
export function createClientSchema(): GraphQLSchema {
  return described(builder.toSchema())
}

function described(made: GraphQLSchema): GraphQLSchema {
  made.description = DESCRIPTION
  return made
}

/** A field without a resolver is read by the executor itself, and that is many times faster. */
function withoutDefaultResolvers(made: GraphQLSchema): GraphQLSchema {
  for (const type of Object.values(made.getTypeMap())) {
    for (const field of isObjectType(type) ? Object.values(type.getFields()) : []) {
      // What holds a page together is made in connection.ts, and read by names that are the fields' own.
      const isOfPage = /(Connection|Edge)$/.test(type.name) && /^(edges|node|pageInfo|totalCount)$/.test(field.name)
      if (isOfPage || field.resolve === defaultFieldResolver) field.resolve = undefined
    }
  }
  return made
}
