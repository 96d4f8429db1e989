import { GraphQLError, Kind } from 'graphql'
import { AppError } from '../errors.ts'
import { parsePointer } from '../json/parts/pointer.ts'
import { isRfc3339, parseInstant, toRfc3339 } from '../model/instant.ts'
import { builder } from './builder.ts'
import { jsonText, textOfLiteral, textOfValue } from './json-text.ts'

builder.scalarType('DateTime', {
  description: 'An instant as RFC 3339, in UTC in every answer, with up to six digits of a second.',
  serialize: toRfc3339,
  extensions: { keeps: isRfc3339 },
  parseValue: parseInstant,
  specifiedByURL: 'https://www.rfc-editor.org/rfc/rfc3339',
})

builder.scalarType('BigInt', {
  description: 'A 64-bit integer: a JSON number up to 2^53 - 1, beyond that its digits as a string. Both are accepted.',
  serialize: (value) => (Number.isSafeInteger(Number(value)) ? Number(value) : String(value)),
  // Nearly all of them are numbers already.
  extensions: { keeps: Number.isSafeInteger },
  parseValue: parseBigInt,
  parseLiteral: (node) => parseBigInt('value' in node ? node.value : undefined),
  specifiedByURL: 'https://www.rfc-editor.org/rfc/rfc7493#section-2.2',
})

builder.scalarType('JSON', {
  description: 'Any JSON value.',
  serialize: (value) => value,
  // Variables that came as text do not come here: see execution/input.ts.
  parseValue: (value) => jsonText(textOfValue(value)),
  parseLiteral: (node, variables) => jsonText(textOfLiteral(node, variables ?? {}) ?? 'null'),
  specifiedByURL: 'https://www.rfc-editor.org/rfc/rfc8259',
})

builder.scalarType('JSONPointer', {
  description:
    'A place in a JSON value: empty for all of it, or `/` and a key or an index for each level, where `~1` is a slash and `~0` a tilde.',
  serialize: (pointer) => pointer,
  parseValue: requirePointer,
  parseLiteral: (node) => requirePointer('value' in node && node.kind === Kind.STRING ? node.value : undefined),
  specifiedByURL: 'https://www.rfc-editor.org/rfc/rfc6901',
})

builder.scalarType('URL', {
  description: 'An absolute URL.',
  serialize: (url) => url,
  parseValue: () => {
    throw new GraphQLError('A URL is never an input here')
  },
  specifiedByURL: 'https://url.spec.whatwg.org/',
})

function requirePointer(value: unknown): string {
  if (typeof value !== 'string') throw new AppError('BAD_REQUEST', 'JSONPointer must be a text')
  parsePointer(value)
  return value
}

function parseBigInt(value: unknown): string {
  const text = typeof value === 'number' && Number.isSafeInteger(value) ? String(value) : value
  if (typeof text !== 'string' || !/^-?\d{1,19}$/.test(text) || BigInt.asIntN(64, BigInt(text)) !== BigInt(text)) {
    throw new AppError('BAD_REQUEST', 'BigInt must be a 64-bit integer')
  }
  return text
}
