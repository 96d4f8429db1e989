import assert from 'node:assert/strict'
import { createMasker } from '../../../src/json/mask/masker.ts'
import { createPlaces, keysOfPointer } from '../../../src/json/mask/places.ts'
import { createRandom } from '../../support/random.ts'

/** Masks at once, in the plainest way: the text is parsed into spans, and those that a pointer leads to are cut out. */
export function maskNaively(text: string, pointers: readonly (readonly string[])[]): string {
  let at = 0
  let out = ''
  let from = 0
  const space = () => {
    while (/[ \n\r\t]/.test(text[at] ?? '')) at++
  }
  const string = () => {
    const begin = at++
    while (text[at] !== '"') at += text[at] === '\\' ? 2 : 1
    at++
    return JSON.parse(text.slice(begin, at)) as string
  }
  const isMasked = (path: readonly string[]) =>
    pointers.some((keys) => keys.length === path.length && keys.every((key, i) => key === '*' || key === path[i]))

  function value(path: readonly string[], isHidden: boolean): void {
    space()
    const begin = at
    const hides = !isHidden && isMasked(path)
    const open = text[at]
    if (open === '"') string()
    else if (open === '{' || open === '[') members(path, open, isHidden || hides)
    else while (at < text.length && !/[,\]} \n\r\t]/.test(text[at] ?? '')) at++
    if (!hides) return
    out += `${text.slice(from, begin)}"[redacted]"`
    from = at
  }

  function members(path: readonly string[], open: '{' | '[', isHidden: boolean): void {
    at++
    space()
    for (let index = 0; text[at] !== '}' && text[at] !== ']'; index++) {
      let key = String(index)
      if (open === '{') {
        key = string()
        space()
        at++
      }
      value([...path, key], isHidden)
      space()
      if (text[at] !== ',') continue
      at++
      space()
    }
    at++
  }

  value([], false)
  return out + text.slice(from)
}

/** The same by the stream, cut at these places. */
export function maskCut(text: Buffer, pointers: readonly (readonly string[])[], cuts: readonly number[]): string {
  const masker = createMasker(createPlaces(pointers))
  const out: Buffer[] = []
  let from = 0
  for (const cut of [...cuts, text.length]) {
    // A chunk of its own, that is overwritten afterwards: whatever is kept of it must have been copied.
    const chunk = Buffer.from(text.subarray(from, cut))
    out.push(Buffer.from(masker.write(chunk)))
    chunk.fill('!')
    from = cut
  }
  masker.end()
  return Buffer.concat(out).toString()
}

const KEYS = [
  'a',
  'b',
  'key',
  '0',
  '1',
  '10',
  '*',
  '',
  'é',
  '日本',
  '😀',
  '~',
  '/',
  'a/b',
  '__proto__',
  '\ud800',
  'long'.repeat(9),
]

interface Case {
  readonly text: string
  readonly pointers: readonly (readonly string[])[]
  readonly cuts: readonly number[]
}

export function randomCase(seed: number): Case {
  const random = createRandom(seed)
  const upTo = (limit: number) => Math.floor(random() * limit)
  const pick = <T>(choices: readonly T[]) => choices[upTo(choices.length)] as T
  const times = (most: number, make: () => string) => Array.from({ length: upTo(most + 1) }, make)
  const gap = () => (upTo(3) > 0 ? '' : pick([' ', '\n', '\t', '\r\n  ', ' '.repeat(upTo(80))]))
  /** Any of its characters may be written as an escape. */
  const escapedOf = (text: string) =>
    text
      .split('')
      .map((unit) => {
        const hex = unit.charCodeAt(0).toString(16).padStart(4, '0')
        if (upTo(4) === 0 || !unit.isWellFormed()) return `\\u${upTo(2) > 0 ? hex : hex.toUpperCase()}`
        return unit === '/' && upTo(2) > 0 ? '\\/' : unit
      })
      .join('')
  const content = () =>
    pick([
      '',
      'x',
      'secret',
      '\\"',
      '\\\\',
      '{',
      '}',
      '[',
      ']',
      ',',
      ':',
      'é',
      '😀',
      '\\u0022',
      'y'.repeat(upTo(90)),
      '\\\\'.repeat(upTo(40)),
    ])
  const string = () => `"${times(4, content).join('')}"`
  const scalar = () =>
    pick([string, () => pick(['0', '-1', '1e400', '12.50', '1E+5', 'true', 'false', 'null', '[]', '{}'])])()

  function value(depth: number): string {
    const kind = upTo(depth > 5 ? 2 : 6)
    if (kind < 2) return scalar()
    const isArray = kind === 2
    // Pairs of surrogates stay whole only where none of them is escaped: both forms are the same key.
    const key = () => `"${escapedOf(pick(KEYS))}"${gap()}:${gap()}`
    const member = () => `${gap()}${isArray ? '' : key()}${value(depth + 1)}${gap()}`
    const inside = gap() + times(5, member).join(',')
    return isArray ? `[${inside}]` : `{${inside}}`
  }
  const text = gap() + value(0) + gap()
  const pointers = Array.from({ length: 1 + upTo(4) }, () =>
    Array.from({ length: upTo(12) === 0 ? 0 : 1 + upTo(4) }, () => (upTo(3) === 0 ? '*' : pick(KEYS))),
  )
  const sizeBytes = Buffer.byteLength(text)
  const step = pick([1, 2, 3, 7, 16, 64, Number.POSITIVE_INFINITY])
  const cuts: number[] = []
  for (let at = step; at < sizeBytes; at += step) cuts.push(at)
  return { text, pointers, cuts: step === Number.POSITIVE_INFINITY ? [upTo(sizeBytes + 1)] : cuts }
}

/** @returns how many values were masked. */
export function checkMasking(seed: number): number {
  const { text, pointers, cuts } = randomCase(seed)
  const masked = maskCut(Buffer.from(text), pointers, cuts)
  assert.equal(masked, maskNaively(text, pointers), `seed ${seed}`)
  JSON.parse(masked)
  return masked.split('"[redacted]"').length - 1
}

/** Many of them in one document, with much and with little between them: what is masked by marks, in chunks of some size. */
export function checkWideMasking(seed: number): number {
  const random = createRandom(seed)
  const upTo = (limit: number) => Math.floor(random() * limit)
  const cases = Array.from({ length: 2 + upTo(60) }, (_, i) => randomCase(seed * 1000 + i))
  const gap = () => ' '.repeat(upTo(4) === 0 ? upTo(700) : 0)
  const filler = () => (upTo(6) === 0 ? `"${'\\\\'.repeat(upTo(900))}${'z'.repeat(upTo(3000))}\\""` : '0')
  const inner = cases.map(({ text }) => `${gap()}${text}${gap()},${filler()}`).join(',')
  const deep = upTo(4) === 0 ? upTo(300) : 0
  const around = '['.repeat(deep)
  const text = `${gap()}{"head":${around}${inner.length % 7}${']'.repeat(deep)},"all":[${inner}]}${gap()}`
  const pointers = cases
    .slice(0, 3)
    .flatMap((one) => one.pointers.map((keys) => ['all', upTo(3) === 0 ? String(upTo(9)) : '*', ...keys]))
  const bytes = Buffer.from(text)
  const cuts: number[] = []
  for (let at = upTo(2000); at < bytes.length; at += 1 + upTo(upTo(3) === 0 ? 600 : 40_000)) cuts.push(at)
  const masked = maskCut(bytes, pointers, cuts)
  assert.equal(masked, maskNaively(text, pointers), `seed ${seed}`)
  return masked.split('"[redacted]"').length - 1
}

/** Pointers as they stand in a file. */
export function pointersOf(...texts: readonly string[]): readonly (readonly string[])[] {
  return texts.map((text) => {
    const keys = keysOfPointer(text)
    assert.ok(keys)
    return keys
  })
}
