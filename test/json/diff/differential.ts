import assert from 'node:assert/strict'
import { type ChangePage, openDiff } from '../../../src/json/diff/diff.ts'
import type { DiffDocument } from '../../../src/json/diff/side.ts'
import type { WindowLimits } from '../../../src/json/diff/window.ts'
import { createIndexer } from '../../../src/json/parts/indexer.ts'
import type { Place } from '../../../src/json/parts/place.ts'
import { createJsonScanner } from '../../../src/json/scanner.ts'
import { randomPair } from './random-pairs.ts'
import { applyMergePatch, applyPatch, hasNull, type Model, modelAt, modelOf } from './reference.ts'

/** How fine the indexes are, and how much is compared at once. */
export interface Grain {
  /** Of an index; none is made where it is left out. */
  readonly unitBytes?: number
  readonly limits?: WindowLimits
}

export interface CountedDocument extends DiffDocument {
  /** Bytes that were read so far, and in how many reads. */
  readonly read: DiffDocument['read'] & { bytes: number; count: number }
}

/** A document in memory. */
export function documentOf(bytes: Buffer, { unitBytes }: Grain = {}, aboveBytes = 200): CountedDocument {
  const indexer = createIndexer(unitBytes === undefined ? {} : { unitBytes, aboveBytes })
  const scanner = createJsonScanner({ scan: indexer.scan })
  scanner.write(bytes)
  scanner.end()
  const read = Object.assign(
    async (start: number, end: number) => {
      assert.ok(start >= 0 && start < end && end <= bytes.length)
      read.bytes += end - start
      read.count++
      return bytes.subarray(start, end)
    },
    { bytes: 0, count: 0 },
  )
  return { sizeBytes: bytes.length, index: indexer.end(), read }
}

export function rootOf(bytes: Buffer): Place {
  const text = bytes.toString('latin1')
  const start = text.search(/[^\s]/)
  const end = text.trimEnd().length
  const first = text[start] ?? ''
  const types = { '{': 'OBJECT', '[': 'ARRAY', '"': 'STRING', t: 'BOOLEAN', f: 'BOOLEAN', n: 'NULL' } as const
  const type = types[first as keyof typeof types] ?? 'NUMBER'
  return { pointer: '', key: null, index: null, type, start, end, sizeBytes: end - start, childCount: null }
}

export function diffOf(from: Buffer, to: Buffer, grain: Grain = {}) {
  const [old, made] = [documentOf(from, grain), documentOf(to, grain)]
  const diff = openDiff({
    from: { document: old, place: rootOf(from) },
    to: { document: made, place: rootOf(to) },
    limits: grain.limits,
  })
  return { diff, old, made }
}

export const UNBOUNDED = { maxBytes: Number.POSITIVE_INFINITY, maxMillis: Number.POSITIVE_INFINITY }

export async function textOf(pieces: AsyncIterable<Buffer>): Promise<Buffer> {
  return Buffer.concat(await Array.fromAsync(pieces))
}

/** All changes, page by page, with cursors as clients have them. */
export async function allPages(
  diff: ReturnType<typeof diffOf>['diff'],
  page: { readonly first: number; readonly maxBytes: number },
): Promise<ChangePage[]> {
  const pages: ChangePage[] = []
  for (let after = null; ; ) {
    const got = await diff.changes({ ...page, maxMillis: UNBOUNDED.maxMillis, after })
    pages.push(got)
    if (!got.hasNext) return pages
    assert.ok(got.end)
    after = JSON.parse(JSON.stringify(got.end))
  }
}

export function areEqual(one: Model, two: Model): boolean {
  try {
    assert.deepStrictEqual(one, two)
    return true
  } catch {
    return false
  }
}

/** Compares two random documents, and holds everything that is told against a plain reference. */
export async function checkRandomDiff(seed: number, grain: Grain): Promise<{ changes: number; isSame: boolean }> {
  // What is too large for one window, and has equal keys in several, is not told apart.
  const { from, to } = randomPair(seed, { duplicates: grain.limits === undefined })
  const [before, after] = [modelOf(from), modelOf(to)]
  const isSame = areEqual(before, after)
  const { diff, old, made } = diffOf(from, to, grain)
  const patch = await textOf(diff.patch())
  assert.ok(areEqual(applyPatch(before, patch), after), 'the patch makes the new of the old')
  // Nothing is read more than a few times, however it is cut.
  const most = (bytes: Buffer) => 4 * bytes.length + 1024
  if (!grain.limits) assert.ok(old.read.bytes <= most(from) && made.read.bytes <= most(to), 'bytes read')
  const whole = await diff.changes({ ...UNBOUNDED, first: Number.POSITIVE_INFINITY })
  if (isSame && whole.isApproximate) return { changes: whole.changes.length, isSame }
  assert.equal(whole.changes.length === 0, isSame, 'changes are told exactly where there are some')
  assert.equal(patch.toString() === '[]', isSame)
  assert.equal(await diff.isIdentical(UNBOUNDED), isSame)
  for (const change of whole.changes) checkChange(change, { from, to, before, after })
  await checkPages(diff, whole, seed)
  await checkSummary(diff, before, after)
  const merge = await diff.mergePatch()
  if (merge)
    assert.ok(areEqual(applyMergePatch(before, modelOf(await textOf(merge))), after), 'so does the merge patch')
  else assert.ok(hasNull(after), 'it has words for all but a null')
  return { changes: whole.changes.length, isSame }
}

interface Pair {
  readonly from: Buffer
  readonly to: Buffer
  readonly before: Model
  readonly after: Model
}

function checkChange(
  { op, before: old, after: made, pointer, fromPointer }: ChangePage['changes'][number],
  pair: Pair,
) {
  const oldModel = old && modelOf(pair.from.subarray(old.start, old.end))
  const newModel = made && modelOf(pair.to.subarray(made.start, made.end))
  if (old) assert.deepStrictEqual(modelAt(pair.before, old.pointer), oldModel)
  if (made) assert.deepStrictEqual(modelAt(pair.after, made.pointer), newModel)
  assert.equal(pointer, (made ?? old)?.pointer)
  assert.equal(fromPointer ?? pointer, (old ?? made)?.pointer)
  assert.deepEqual([old !== null, made !== null], [op !== 'ADDED', op !== 'REMOVED'])
  if (op === 'CHANGED') assert.ok(!areEqual(oldModel, newModel), 'no change where only the text differs')
  if (op === 'MOVED') assert.ok(areEqual(oldModel, newModel))
}

async function checkPages(diff: ReturnType<typeof diffOf>['diff'], whole: ChangePage, seed: number): Promise<void> {
  for (const page of [
    { first: 1 + (seed % 7), maxBytes: UNBOUNDED.maxBytes },
    { first: 100, maxBytes: 300 },
  ]) {
    if (whole.changes.length > 40 * page.first) continue
    const pages = await allPages(diff, page)
    const told = pages.flatMap(({ changes }) =>
      changes.map(({ op, pointer, fromPointer }) => [op, pointer, fromPointer]),
    )
    assert.deepEqual(
      told,
      whole.changes.map(({ op, pointer, fromPointer }) => [op, pointer, fromPointer]),
    )
  }
}

async function checkSummary(diff: ReturnType<typeof diffOf>['diff'], before: Model, after: Model): Promise<void> {
  const summary = await diff.summary()
  if (!(before instanceof Map) || !(after instanceof Map)) return assert.equal(summary, null)
  const keys = new Set([...before.keys(), ...after.keys()])
  assert.equal(summary?.length, keys.size)
  for (const { key, status } of summary ?? []) {
    const old = before.get(key)
    const made = after.get(key)
    const expected: string =
      old === undefined ? 'ADDED' : made === undefined ? 'REMOVED' : areEqual(old, made) ? 'EQUAL' : 'CHANGED'
    assert.equal(status, expected, key)
  }
}
