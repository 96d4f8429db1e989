import type { JsonType } from '../../../src/json/parts/place.ts'
import { childPointer } from '../../../src/json/parts/pointer.ts'

/** A value as the simplest of all parsers sees it. Offsets are bytes. */
export interface Reference {
  readonly pointer: string
  readonly key: string | null
  readonly index: number | null
  readonly type: JsonType
  readonly start: number
  readonly end: number
  readonly children: readonly Reference[] | null
}

/** Of a valid document. */
export function parseReference(bytes: Buffer): Reference {
  let at = 0
  const skipSpace = () => {
    while (' \n\r\t'.includes(String.fromCharCode(bytes[at] ?? 0))) at++
  }
  const peek = () => String.fromCharCode(bytes[at] ?? 0)

  function string(): string {
    const start = at++
    while (peek() !== '"') at += peek() === '\\' ? 2 : 1
    at++
    return JSON.parse(bytes.toString('utf8', start, at)) as string
  }

  function members(isObject: boolean, pointer: string): Reference[] {
    const found: Reference[] = []
    at++
    skipSpace()
    while (!'}]'.includes(peek())) {
      const key = isObject ? string() : null
      if (isObject) {
        skipSpace()
        at++
        skipSpace()
      }
      const index = isObject ? null : found.length
      found.push(value({ key, index, pointer: childPointer(pointer, key ?? index ?? 0) }))
      skipSpace()
      if (peek() === ',') at++
      skipSpace()
    }
    at++
    return found
  }

  function value(name: Pick<Reference, 'key' | 'index' | 'pointer'>): Reference {
    const start = at
    const first = peek()
    if (first === '{' || first === '[') {
      const children = members(first === '{', name.pointer)
      return { ...name, type: first === '{' ? 'OBJECT' : 'ARRAY', start, end: at, children }
    }
    if (first === '"') string()
    else while (at < bytes.length && !' \n\r\t,]}'.includes(peek())) at++
    const type = first === '"' ? 'STRING' : first === 'n' ? 'NULL' : 'tf'.includes(first) ? 'BOOLEAN' : 'NUMBER'
    return { ...name, type, start, end: at, children: null }
  }

  skipSpace()
  return value({ key: null, index: null, pointer: '' })
}

/** It and all that is in it, in the order of the document. */
export function allOf(reference: Reference): readonly Reference[] {
  return [reference, ...(reference.children ?? []).flatMap(allOf)]
}
