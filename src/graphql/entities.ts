import { type GraphQLSchema, isObjectType } from 'graphql'
import { AppError } from '../errors.ts'

/**
 * Makes `_entities` refuse, as a fault of the caller, references of a type that is no entity here, and those whose keys are no
 * text: the federation library would take the first for a fault of the server, and hand the second to the loaders.
 */
export function guardEntities(schema: GraphQLSchema): GraphQLSchema {
  const field = schema.getQueryType()?.getFields()['_entities']
  const resolve = field?.resolve
  if (!field || !resolve) return schema
  field.resolve = (root, args, context, info) => {
    for (const reference of args['representations']) requireKeys(schema, reference)
    return resolve(root, args, context, info)
  }
  return schema
}

function requireKeys(schema: GraphQLSchema, reference: unknown): void {
  const fields = new Map(Object.entries(typeof reference === 'object' && reference !== null ? reference : {}))
  const keys = keysOf(schema, fields.get('__typename'))
  const isComplete = keys.some((names) => names.every((name) => fields.has(name)))
  if (!isComplete || keys.flat().some((name) => fields.has(name) && typeof fields.get(name) !== 'string')) {
    throw new AppError('BAD_REQUEST', 'A reference must name a type of entity, and all fields of one of its keys')
  }
}

/** The lists of fields in the type's `@key` directives; none when it is no entity. */
function keysOf(schema: GraphQLSchema, typename: unknown): string[][] {
  const type = typeof typename === 'string' ? schema.getType(typename) : undefined
  const directives = isObjectType(type) ? type.extensions['directives'] : undefined
  if (!Array.isArray(directives)) return []
  return directives.filter(({ name }) => name === 'key').map(({ args }) => String(args.fields).split(' '))
}
