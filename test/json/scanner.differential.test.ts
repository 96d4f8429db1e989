import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { createJsonScanner } from '../../src/json/scanner.ts'
import { bytesOf, INVALID, VALID } from './cases.ts'
import { createScannerDifferential } from './differential.ts'
import { randomDocument } from './random-documents.ts'

/** `npm run fuzz -- scanner` goes on without end. */
const SEEDS = 3000
const BLOCK = 64
const UNLIMITED = { cuts: [], maxDepth: 512, maxBytes: Number.POSITIVE_INFINITY }
const BEHIND = Buffer.alloc(2 * BLOCK, ' ')

describe('the scanner by blocks beside the one byte by byte', () => {
  const differential = createScannerDifferential()

  /** With so many bytes before it, in an array that goes on; and cut there as well. */
  function checkAt(before: number, document: Buffer): void {
    const bytes = Buffer.concat([Buffer.from('['.padEnd(before)), document, Buffer.from(',0]'), BEHIND])
    for (const cuts of [[], [before], [BLOCK, before + 1]]) {
      differential.check({ ...UNLIMITED, bytes, cuts: cuts.toSorted((a, b) => a - b) })
    }
  }

  it('agrees on every awkward document at every place of a block', () => {
    for (const document of [...VALID, ...INVALID].map(bytesOf)) {
      differential.check({ ...UNLIMITED, bytes: Buffer.concat([document, BEHIND]) })
      for (let before = 1; before <= BLOCK; before++) checkAt(before, document)
    }
  })

  it('agrees on each byte after each beginning, at the border of two blocks', () => {
    const beginnings =
      '{ {"k" {"k": {"k":0 {"k":0, [ [0 [0, - -0 0 1 1. 1.5 1e 1e+ 1e5 t tr tru true f fals n nul " "\\ "\\u "\\u0'
    for (const beginning of beginnings.split(' ')) {
      for (let byte = 0; byte < 256; byte++) {
        const document = Buffer.concat([Buffer.from(beginning), Buffer.from([byte])])
        const bytes = Buffer.concat([Buffer.alloc(BLOCK + 1 - document.length, ' '), document, BEHIND])
        differential.check({ ...UNLIMITED, bytes })
      }
    }
  })

  it('agrees on the limit of depth, in one block and over many', () => {
    for (const maxDepth of [0, 1, 2, 30, 31, 32, 63, 64, 65, 511, 512, 1024, 1025]) {
      for (const depth of [maxDepth - 1, maxDepth, maxDepth + 1, maxDepth + 100].filter((levels) => levels > 0)) {
        for (const [open, close] of [
          ['['.repeat(depth), ']'.repeat(depth)],
          ['{"":'.repeat(depth - 1), '{'.padEnd(depth + 1, '}')],
        ]) {
          const bytes = Buffer.concat([Buffer.from(`${open}${close}`), BEHIND])
          differential.check({ ...UNLIMITED, bytes, maxDepth })
          differential.check({ ...UNLIMITED, bytes, maxDepth, cuts: [depth] })
        }
      }
    }
  })

  it('agrees on what closes far more than it opened, and scans on', () => {
    for (const text of [']', '}', '[]]', '1]', '[{}}', ',]']) {
      differential.check({ ...UNLIMITED, bytes: Buffer.from(text.repeat(50_000)) })
      assert.ok(differential.check({ ...UNLIMITED, bytes: Buffer.concat([Buffer.from('[{"a":[1.5,true]}]'), BEHIND]) }))
    }
  })

  it('agrees on random documents, cut anywhere', () => {
    let valid = 0
    for (let seed = 0; seed < SEEDS; seed++) if (differential.checkRandom(seed)) valid++
    assert.ok(valid > SEEDS / 4 && valid < SEEDS / 2, `${valid} were valid`)
  })

  it('scans by blocks in the end', () => {
    assert.ok(differential.blocks() > 10 * SEEDS)
  })
})

describe('scans that take turns', () => {
  const document = (name: string) =>
    Buffer.from(JSON.stringify(Array.from({ length: 2000 }, (_, index) => ({ [name]: [index, { name, ok: true }] }))))

  it('are kept apart, also from those that were left or have failed', () => {
    const names = ['left early', 'failed', 'one', 'another']
    const scans = names.map((name) => ({ bytes: document(name), scanner: createJsonScanner() }))
    for (let at = 0, step = 2000; at < 200_000; at += step) {
      for (const [index, { bytes, scanner }] of scans.entries()) {
        if (index === 0 && at > 10_000) continue
        if (index === 1 && at > 10_000) assert.throws(() => scanner.write(Buffer.alloc(step)))
        else scanner.write(bytes.subarray(at, at + step))
      }
    }
    for (const { bytes, scanner } of scans.slice(2)) {
      assert.deepEqual(scanner.end(), { sizeBytes: bytes.length, depth: 4, topLevel: 'array' })
    }
  })
})

it('random documents are the same for the same seed', () => {
  assert.deepEqual(randomDocument(7), randomDocument(7))
  assert.notDeepEqual(randomDocument(7), randomDocument(8))
})
