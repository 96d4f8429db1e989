import { defaultFieldResolver, type GraphQLSchema, isObjectType } from 'graphql'
import { builder } from './builder.ts'
import { isolateEntities } from './entities.ts'
import './scalars.ts'
import './types/run.ts'
import './types/step.ts'
import './types/run-by-id.ts'
import './types/snapshot.ts'
import './types/snapshot-lists.ts'
import './types/node.ts'
import './types/integrity.ts'
import './types/download.ts'
import './types/capture.ts'
import './types/upload.ts'

export const schema = withoutDefaultResolvers(
  isolateEntities(builder.toSubGraphSchema({ linkUrl: 'https://specs.apollo.dev/federation/v2.6' })),
)

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
