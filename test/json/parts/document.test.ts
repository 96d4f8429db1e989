import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { UNIT_BYTES } from '../../../src/json/parts/json-index.ts'
import { indexOf, open } from './documents.ts'

const numbers = Buffer.from(
  `{"list":[${Array.from({ length: 400_000 }, (_, index) => index * 7).join()}],"end":{"a":1}}`,
)
const index = indexOf(numbers, { unitBytes: UNIT_BYTES, steps: [UNIT_BYTES] })

describe('a document that is read in parts', () => {
  it('gives any place and any page of a long array by one read', async () => {
    for (const at of [0, 200_000, 399_999]) {
      const one = open(numbers, index)
      const place = await one.document.at(`/list/${at}`)
      assert.equal(await one.document.preview(place), String(at * 7))
      const other = open(numbers, index)
      const page = await other.document.children(await other.document.at('/list'), { first: 100, skip: at })
      assert.equal(page.children[0]?.place.pointer, `/list/${at}`)
      for (const { reads } of [one, other]) {
        assert.ok(reads.length <= 2 && bytesOf(reads) <= 700_000, JSON.stringify(reads))
      }
    }
  })

  it('gives each child once, whether pages go on by cursor or by skip', async () => {
    const { document } = open(numbers, index)
    const list = await document.at('/list')
    let [count, after, isSkipping] = [0, null as { container: number; ordinal: number } | null, false]
    for (;;) {
      const from = isSkipping ? { skip: count } : { after }
      const page = await document.children(list, { first: 5000, ...from })
      for (const { place } of page.children) assert.equal(place.index, count++)
      after = page.children.at(-1)?.cursor ?? null
      isSkipping = !isSkipping
      if (!page.hasNext) break
    }
    assert.equal(count, 400_000)
  })

  it('refuses a cursor of another container, and one behind the end', async () => {
    const { document } = open(numbers, index)
    const list = await document.at('/list')
    const end = await document.at('/end')
    for (const after of [
      { container: end.start, ordinal: 0 },
      { container: list.start, ordinal: 400_000 },
      { container: list.start, ordinal: -1 },
      { container: list.start, ordinal: 0.5 },
    ]) {
      await assert.rejects(document.children(list, { first: 1, after }), { code: 'BAD_REQUEST' })
    }
  })

  it('gives nothing of a run in which a byte was changed', async () => {
    const changed = Buffer.from(numbers)
    const at = changed.indexOf('1400000,')
    changed[at] = 0x32
    const { document } = open(changed, index)
    await assert.rejects(document.at('/list/200000'), { code: 'OBJECT_CORRUPT' })
    await assert.rejects(document.children(await document.at('/list'), { first: 1, skip: 200_000 }), {
      code: 'OBJECT_CORRUPT',
    })
    const list = await document.at('/list')
    const options = { text: 'nowhere', in: 'ANYWHERE', matchCase: true, first: 1, maxBytes: 1e9 } as const
    await assert.rejects(document.find(list, options), { code: 'OBJECT_CORRUPT' })
    assert.equal((await document.at('/list/399999')).index, 399_999)
  })

  it('is refused where it was cut off', async () => {
    const { document } = open(numbers.subarray(0, -1), index)
    await assert.rejects(document.at('/end/a'), { code: 'OBJECT_CORRUPT' })
  })

  it('refuses what is no pointer', async () => {
    const { document } = open(numbers, index)
    for (const pointer of ['list', '/~', '/a~2']) await assert.rejects(document.at(pointer), { code: 'BAD_REQUEST' })
  })
})

function bytesOf(reads: readonly { readonly start: number; readonly end: number }[]): number {
  return reads.reduce((sum, { start, end }) => sum + end - start, 0)
}
