import { Kind, type ValueNode } from 'graphql'
import { AppError } from '../errors.ts'
import { createJsonLocator, type JsonLocator } from '../json/locator.ts'

/** A JSON value that came in, as text: what was sent, with every digit of its numbers. */
export class JsonText {
  readonly jsonText: string

  constructor(text: string) {
    this.jsonText = text
  }
}

export function jsonText(text: string): JsonText {
  return new JsonText(text)
}

/** Finds the texts of variables. @param body JSON in whose member `variables` they stand. */
export function locateVariables(body: string): JsonLocator {
  let locate: JsonLocator | undefined
  // Most operations have no variable of JSON, and need none of it.
  return (path) => {
    locate ??= createJsonLocator(body)
    return locate(['variables', ...path])
  }
}

/** Text of a value whose own is not known. @throws AppError `BAD_REQUEST` for numbers that JSON cannot tell. */
export function textOfValue(value: unknown): string {
  if (value instanceof JsonText) return value.jsonText
  if (Array.isArray(value)) return `[${value.map((item) => textOfValue(item ?? null)).join()}]`
  if (typeof value === 'object' && value !== null) {
    const entries = Object.entries(value).filter(([, item]) => item !== undefined)
    return textOfEntries(entries.map(([name, item]) => [name, textOfValue(item)]))
  }
  if (typeof value === 'number' && !Number.isFinite(value)) {
    throw new AppError('BAD_REQUEST', 'A number is too large to be read here')
  }
  return Object.is(value, -0) ? '-0' : JSON.stringify(value)
}

/** Text of a literal; undefined for a variable that has no value. Numbers stand in it as they stood in the query. */
export function textOfLiteral(node: ValueNode, variables: Readonly<Record<string, unknown>>): string | undefined {
  switch (node.kind) {
    case Kind.INT:
    case Kind.FLOAT:
      return node.value
    case Kind.NULL:
      return 'null'
    case Kind.LIST:
      return `[${node.values.map((item) => textOfLiteral(item, variables) ?? 'null').join()}]`
    case Kind.OBJECT:
      return textOfEntries(node.fields.map(({ name, value }) => [name.value, textOfLiteral(value, variables)]))
    case Kind.VARIABLE: {
      const value = variables[node.name.value]
      return value === undefined ? undefined : textOfValue(value)
    }
    default:
      return JSON.stringify(node.value)
  }
}

function textOfEntries(entries: readonly (readonly [string, string | undefined])[]): string {
  const members = entries
    .filter(([, text]) => text !== undefined)
    .map(([name, text]) => `${JSON.stringify(name)}:${text}`)
  return `{${members.join()}}`
}
