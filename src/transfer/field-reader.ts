import type { Instant } from '../model/instant.ts'
import { CURSOR_INSTANT } from '../model/page.ts'
import type { ErrorInfo, Tag } from '../model/run.ts'

/** Members of an object that somebody else wrote. What is left out is null, false or empty; what is of another type is a problem. */
export interface FieldReader {
  text(name: string): string
  textOrNull(name: string): string | null
  texts(name: string): readonly string[]
  integerOrNull(name: string): number | null
  flag(name: string): boolean
  oneOf<T extends string>(name: string, values: readonly T[]): T | null
  instantOrNull(name: string): Instant | null
  errorOrNull(name: string): ErrorInfo | null
  tags(name: string): readonly Tag[]
}

/** @param fail throws, with the problem in words. */
export function createFieldReader(
  fields: Readonly<Record<string, unknown>>,
  fail: (problem: string) => never,
): FieldReader {
  function read<T>(name: string, what: string, is: (value: unknown) => value is T): T | null {
    const value = fields[name]
    if (value === undefined || value === null) return null
    return is(value) ? value : fail(`${name} must be ${what}`)
  }
  const isText = (value: unknown) => typeof value === 'string'
  const isTexts = (value: unknown): value is string[] => Array.isArray(value) && value.every(isText)
  const isInteger = (value: unknown): value is number => Number.isSafeInteger(value)
  const isFlag = (value: unknown) => typeof value === 'boolean'
  const isInstant = (value: unknown): value is Instant => isText(value) && CURSOR_INSTANT.test(value)
  return {
    text: (name) => read(name, 'a text', isText) ?? fail(`${name} is missing`),
    textOrNull: (name) => read(name, 'a text', isText),
    texts: (name) => read(name, 'texts', isTexts) ?? [],
    integerOrNull: (name) => read(name, 'an integer', isInteger),
    flag: (name) => read(name, 'true or false', isFlag) ?? false,
    oneOf<T extends string>(name: string, values: readonly T[]) {
      return read(name, `one of ${values.join(', ')}`, (value): value is T => values.some((known) => known === value))
    },
    instantOrNull: (name) => read(name, 'a moment such as 2026-11-23T09:30:00Z', isInstant),
    errorOrNull: (name) => read(name, 'an error with a message', isErrorInfo),
    tags: (name) => read(name, 'tags of a key and a value', isTags) ?? [],
  }
}

function isErrorInfo(value: unknown): value is ErrorInfo {
  const { message, type, stack } = (value ?? {}) as Readonly<Record<string, unknown>>
  return typeof message === 'string' && [type, stack].every((part) => part == null || typeof part === 'string')
}

function isTags(value: unknown): value is Tag[] {
  return Array.isArray(value) && value.every((tag) => typeof tag?.key === 'string' && typeof tag?.value === 'string')
}
