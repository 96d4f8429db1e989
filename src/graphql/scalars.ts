import { GraphQLError, Kind } from 'graphql'
import { AppError } from '../errors.ts'
import { parsePointer } from '../json/parts/pointer.ts'
import { type Instant, toRfc3339 } from '../model/instant.ts'
import { builder } from './builder.ts'
import { jsonText, textOfLiteral, textOfValue } from './json-text.ts'

/** Hours end at 23: only ISO 8601 has an hour 24. */
const RFC_3339 = /^(\d{4}-\d\d-\d\d)[Tt ]((?!24)\d\d:\d\d:)(\d\d)(\.\d{1,9})?([Zz]|[+-]\d\d:\d\d)$/

builder.scalarType('DateTime', {
  description: 'An instant as RFC 3339, in UTC in every answer, with up to six digits of a second.',
  serialize: toRfc3339,
  parseValue: parseInstant,
  specifiedByURL: 'https://www.rfc-editor.org/rfc/rfc3339',
})

builder.scalarType('BigInt', {
  description: 'A 64-bit integer: a JSON number up to 2^53 - 1, beyond that its digits as a string. Both are accepted.',
  serialize: (value) => (Number.isSafeInteger(Number(value)) ? Number(value) : String(value)),
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

/** @throws AppError `BAD_REQUEST` when the text is not an instant of the calendar. */
function parseInstant(value: unknown): Instant {
  const [, date, minute, second, fraction = '', zone = ''] = RFC_3339.exec(typeof value === 'string' ? value : '') ?? []
  const isLeap = second === '60'
  const utc = isoText(`${date}T${minute}${isLeap ? '59' : second}${zone.toUpperCase()}`)
  // The 31st of February would roll over to March; a real date does not. The zone may lead out of years of four digits.
  const isDate = date !== undefined && isoText(`${date}T00:00:00Z`).startsWith(date) && /^(?!0000)\d{4}-/.test(utc)
  if (!isDate || (isLeap && !utc.endsWith('23:59:59.000Z'))) {
    throw new AppError('BAD_REQUEST', 'DateTime must be RFC 3339, such as 2026-11-23T09:30:00Z')
  }
  // No clock here has a second that was put in: it is held at the last moment of the one before, which keeps the order.
  return `${utc.slice(0, 19)}${isLeap ? '.999999' : fraction.slice(0, 7)}Z`
}

/** Empty for what is no moment. */
function isoText(text: string): string {
  const date = new Date(text)
  return Number.isNaN(date.getTime()) ? '' : date.toISOString()
}

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
