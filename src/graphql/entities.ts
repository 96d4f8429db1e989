import { type GraphQLSchema, isObjectType } from 'graphql'
import { AppError } from '../errors.ts'
import { costing } from './cost.ts'

type Reference = Readonly<Record<string, unknown>>

/**
 * Makes `_entities` resolve each reference on its own: one that names no entity here, or has no complete key, is null with an
 * error of the caller at its place. The federation library would let the whole list fall, and take it for a fault of the server.
 */
export function isolateEntities(schema: GraphQLSchema): GraphQLSchema {
  const field = schema.getQueryType()?.getFields()['_entities']
  const resolve = field?.resolve
  if (!field || !resolve) return schema
  field.resolve = (root, { representations }, context, info) => {
    const one = async (reference: unknown) => {
      const [entity] = (await resolve(
        root,
        { representations: [keyOf(schema, reference)] },
        context,
        info,
      )) as unknown[]
      return entity
    }
    return representations.map(one)
  }
  const cost = costing({
    items: (args: { readonly representations: readonly unknown[] }) => args.representations.length,
  })
  field.extensions = { ...field.extensions, ...cost }
  return schema
}

/** Only the fields of one key: a reference may hold others, and parts of another key. @throws AppError `BAD_REQUEST`. */
function keyOf(schema: GraphQLSchema, reference: unknown): Reference {
  const given = typeof reference === 'object' && reference !== null ? (reference as Reference) : {}
  const has = (name: string) => Object.hasOwn(given, name) && typeof given[name] === 'string'
  const names = keysOf(schema, given['__typename']).find((key) => key.every(has))
  if (!names) {
    throw new AppError(
      'BAD_REQUEST',
      'A reference must name a type of entity, and all fields of one of its keys as text',
    )
  }
  return Object.fromEntries(['__typename', ...names].map((name) => [name, given[name]]))
}

/** The lists of fields in the type's `@key` directives; none when it is no entity. */
function keysOf(schema: GraphQLSchema, typename: unknown): string[][] {
  const type = typeof typename === 'string' ? schema.getType(typename) : undefined
  const directives = isObjectType(type) ? type.extensions['directives'] : undefined
  if (!Array.isArray(directives)) return []
  return directives.filter(({ name }) => name === 'key').map(({ args }) => String(args.fields).split(' '))
}
