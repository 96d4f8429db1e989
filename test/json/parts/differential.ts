import assert from 'node:assert/strict'
import { isDeepStrictEqual } from 'node:util'
import type { JsonDocument } from '../../../src/json/parts/document.ts'
import { decodeIndex, encodeIndex } from '../../../src/json/parts/index-codec.ts'
import type { JsonIndex } from '../../../src/json/parts/json-index.ts'
import { createKeyHash, SEED_BYTES } from '../../../src/json/parts/key-hash.ts'
import { createByteNotes } from '../../../src/json/parts/noting-scan.ts'
import type { FindCursor, Place } from '../../../src/json/parts/place.ts'
import { childPointer, parsePointer } from '../../../src/json/parts/pointer.ts'
import { createRandom } from '../../support/random.ts'
import { indexOf, open, randomJson, randomObject, SMALL_UNIT } from './documents.ts'
import { createMemoryKeys } from './key-finder.ts'
import { allOf, parseReference, type Reference } from './reference.ts'

const PAGES = [2, 7, 100]
const TEXTS = ['a', 'X', 'text', 'é', '😀', '0', '"', '\\', 'xxxx', 'longlong', '日本', '\n', 'nowhere']

/** A random document, indexed in several ways and read in all, beside the simplest parser. @throws AssertionError at any difference */
export async function checkRandomParts(seed: number): Promise<void> {
  const bytes = randomJson(seed)
  const told = `seed ${seed}, ${bytes.length} bytes`
  const index = checkIndexes(bytes, { seed, told })
  const reference = parseReference(bytes)
  for (const known of [index, null]) {
    const { document } = open(bytes, known)
    await checkPointers(document, reference, told)
    await checkChildren(document, reference, { seed, told })
    await checkPreviews(document, reference, bytes)
    await checkFind(document, reference, { bytes, seed, told })
  }
}

/**
 * Keys of a random object are found by tables of them as by a search, also where hashes tell next to nothing.
 * @returns how many tables were made. @throws AssertionError at any difference
 */
export async function checkRandomKeys(seed: number): Promise<number> {
  const bytes = randomObject(seed)
  const told = `seed ${seed}, ${bytes.length} bytes`
  const index = indexOf(bytes)
  const reference = parseReference(bytes)
  const strong = createKeyHash(Buffer.alloc(SEED_BYTES, seed))
  let made = 0
  for (const hash of [strong, (key: Uint8Array) => strong(key) % 3]) {
    const keys = createMemoryKeys(bytes, { hash, step: 1 + (seed % 150) })
    await checkPointers(open(bytes, index, { keys, searchBytes: 1 }).document, reference, told)
    made += keys.made.length
  }
  return made
}

interface Case {
  readonly seed: number
  readonly told: string
}

/** The same, however the bytes are cut and whoever scans them. */
function checkIndexes(bytes: Buffer, { seed, told }: Case): JsonIndex {
  const unitBytes = SMALL_UNIT << (seed % 3)
  const index = indexOf(bytes, { unitBytes, steps: [1 + (seed % 300), 77, 5000] })
  const others = [
    indexOf(bytes, { unitBytes, createScan: createByteNotes }),
    indexOf(bytes, { unitBytes, steps: [bytes.length] }),
    decodeIndex(encodeIndex(index, told), { sizeBytes: bytes.length, digest: told }),
  ]
  for (const [way, other] of others.entries()) assert.ok(isDeepStrictEqual(other, index), `way ${way} of ${told}`)
  return index
}

function seen({ pointer, key, index, type, start, end, children }: Reference) {
  return { pointer, key, index, type, start, end, sizeBytes: end - start, childCount: children?.length ?? null }
}

/** By pointer the last of equal keys counts. */
function resolve(reference: Reference, pointer: string): Reference | undefined {
  let found: Reference | undefined = reference
  for (const token of parsePointer(pointer)) {
    found = found?.children?.findLast((child) => (child.key ?? String(child.index)) === token)
  }
  return found
}

async function checkPointers(document: JsonDocument, reference: Reference, told: string): Promise<void> {
  for (const pointer of new Set(allOf(reference).map((each) => each.pointer))) {
    const expected = resolve(reference, pointer)
    const found = await document.at(pointer).catch((error) => error.code)
    assert.deepEqual(found, expected ? seen(expected) : 'POINTER_NOT_FOUND', `${pointer} of ${told}`)
    if (!expected) continue
    for (const token of ['-', 'nowhere', '01', '1e0', String(expected.children?.length ?? 0)]) {
      const absent = childPointer(pointer, token)
      if (resolve(reference, absent)) continue
      const isRight = { code: 'POINTER_NOT_FOUND', details: { nearest: pointer } }
      await assert.rejects(document.at(`${absent}/more`), isRight, `${absent} of ${told}`)
    }
  }
}

/** By cursor, by `skip`, and mixed. */
async function checkChildren(document: JsonDocument, reference: Reference, { seed, told }: Case): Promise<void> {
  const random = createRandom(seed)
  for (const parent of allOf(reference)) {
    const place: Place = seen(parent)
    const first = PAGES[Math.floor(random() * PAGES.length)] ?? 1
    const found: Place[] = []
    let after = null
    for (;;) {
      const isSkipping = random() < 0.5
      const from = isSkipping ? { skip: found.length } : { after }
      const page = await document.children(place, { first, ...from })
      found.push(...page.children.map((child) => child.place))
      after = page.children.at(-1)?.cursor ?? null
      if (!page.hasNext) break
      assert.ok(page.children.length > 0, `a page of nothing in ${parent.pointer} of ${told}`)
    }
    assert.deepEqual(found, (parent.children ?? []).map(seen), `children of ${parent.pointer} of ${told}`)
  }
}

async function checkPreviews(document: JsonDocument, reference: Reference, bytes: Buffer): Promise<void> {
  for (const each of allOf(reference)) {
    const source = bytes.toString('utf8', each.start, each.end)
    const preview = await document.preview(seen(each))
    assert.ok(source.startsWith(preview) && Buffer.byteLength(preview) <= 1024, source)
    assert.ok(preview === source || Buffer.byteLength(preview) > 1024 - 12, source)
  }
}

async function checkFind(
  document: JsonDocument,
  reference: Reference,
  options: Case & { readonly bytes: Buffer },
): Promise<void> {
  const { bytes, seed, told } = options
  const text = TEXTS[seed % TEXTS.length] ?? ''
  const matchCase = seed % 2 === 0
  const fold = (value: string) => (matchCase ? value : value.toLowerCase())
  const sourceOf = (each: Reference) => bytes.toString('utf8', each.start, each.end)
  const textOf = (each: Reference) => (each.type === 'STRING' ? (JSON.parse(sourceOf(each)) as string) : sourceOf(each))
  const expected: unknown[] = []
  for (const each of allOf(reference)) {
    const isKeyed = each !== reference && each.key !== null && fold(each.key).includes(fold(text))
    if (isKeyed) expected.push(['KEYS', each.pointer, each.start])
    const isValue = (each.type === 'STRING' || each.type === 'NUMBER') && fold(textOf(each)).includes(fold(text))
    if (isValue) expected.push(['VALUES', each.pointer, each.start])
  }
  const found: unknown[] = []
  let after: FindCursor | null = null
  do {
    const first = 1 + (seed % 5)
    const page = await document.find(seen(reference), { text, in: 'ANYWHERE', matchCase, first, after, maxBytes: 1000 })
    for (const match of page.matches) {
      found.push([match.in, match.place.pointer, match.place.start])
      assert.equal(fold(match.excerpt.slice(match.start, match.end)), fold(text), told)
    }
    after = page.next
  } while (after)
  assert.deepEqual(found, expected, `find ${text} in ${told}`)
}
