import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { createTimeScale } from '../../src/explorer/screens/gantt.ts'
import { createLocalSource } from '../../src/explorer/tree/local-source.ts'
import { type Branch, createOutline } from '../../src/explorer/tree/outline.ts'
import { createScrollMap, ROW_PIXELS } from '../../src/explorer/tree/scroll-map.ts'
import type { Place } from '../../src/explorer/tree/source.ts'

const container = (pointer: string, childCount: number): Place => ({
  pointer,
  key: null,
  index: null,
  type: 'ARRAY',
  sizeBytes: 1,
  childCount,
  preview: '',
})

describe('the rows of a tree', () => {
  it('lead to a child and back, whatever is open and closed', () => {
    const steps = fc.array(fc.tuple(fc.nat(), fc.nat(20), fc.boolean()), { maxLength: 40 })
    fc.assert(
      fc.property(steps, (acts) => {
        const outline = createOutline(container('', 15))
        const branches: Branch[] = [outline.root]
        for (const [pick, count, isOpening] of acts) {
          const { branch, ordinal } = outline.spotAt(pick % outline.rowCount)
          if (branch === undefined) continue
          const there = branch.open.get(ordinal)
          if (isOpening)
            branches.push(outline.open(branch, ordinal, container(`${branch.place.pointer}/${ordinal}`, count)))
          else if (there) outline.close(there)
        }
        for (let row = 0; row < outline.rowCount; row++) assert.equal(outline.rowOf(outline.spotAt(row)), row)
        const plain = (branch: Branch): number =>
          branch.count + [...branch.open.values()].reduce((sum, child) => sum + plain(child), 0)
        assert.equal(outline.rowCount, 1 + plain(outline.root))
      }),
      { seed: 17, numRuns: 300 },
    )
  })

  it('are a million siblings without being there', () => {
    const outline = createOutline(container('', 1_000_000))
    const opened = outline.open(outline.root, 500_000, container('/500000', 3))
    assert.equal(outline.rowCount, 1_000_004)
    assert.deepEqual(outline.spotAt(500_002), { branch: opened, ordinal: 0 })
    assert.deepEqual(outline.spotAt(500_005), { branch: outline.root, ordinal: 500_001 })
  })
})

describe('the scroll bar', () => {
  it('is as long as its rows up to 8,000,000 pixels, and never longer', () => {
    assert.equal(createScrollMap(100, 440).spacer, 100 * ROW_PIXELS)
    for (const rows of [363_636, 1_000_000, 100_000_000]) assert.ok(createScrollMap(rows, 440).spacer <= 8_000_000)
  })

  it('reaches the first and the last row of any number, and each row is led back to', () => {
    for (const rows of [3, 100, 363_000, 1_000_000, 50_000_000]) {
      const map = createScrollMap(rows, 440)
      assert.equal(map.rowAt(0), 0)
      assert.equal(map.rowAt(map.spacer), map.lastTop)
      for (const row of [0, map.lastTop / 3, map.lastTop]) {
        assert.ok(Math.abs(map.rowAt(map.scrollTopOf(row)) - row) < 0.001, `${row} of ${rows}`)
      }
    }
  })
})

describe('JSON in a string', () => {
  const signal = new AbortController().signal

  it('is a tree of its own text, each number with its digits', async () => {
    const source = createLocalSource(
      ' {"a": [1e-400, 1.0, 12345678901234567890], "b/c": {"__proto__": "x", "b": null}, "a": "last"} ',
    )
    assert.equal((await source.placeAt('/b~1c/__proto__', signal)).preview, '"x"')
    assert.equal((await source.placeAt('/a', signal)).preview, '"last"')
    const { places } = await source.children('', 0, signal)
    assert.deepEqual(
      places.map(({ key, type, childCount }) => [key, type, childCount]),
      [
        ['a', 'ARRAY', 3],
        ['b/c', 'OBJECT', 2],
        ['a', 'STRING', null],
      ],
    )
    await assert.rejects(source.placeAt('/b~1c/none', signal), {
      code: 'POINTER_NOT_FOUND',
      detail: { nearest: '/b~1c' },
    })
  })

  it('keeps numbers as they are written', async () => {
    const source = createLocalSource('[1e-400,1.0,12345678901234567890,true]')
    const { places } = await source.children('', 0, signal)
    assert.deepEqual(
      places.map(({ preview }) => preview),
      ['1e-400', '1.0', '12345678901234567890', 'true'],
    )
  })

  it('is found as JSON.parse has it, for any JSON', async () => {
    await fc.assert(
      fc.asyncProperty(fc.json({ maxDepth: 4 }), async (text) => {
        const source = createLocalSource(text)
        const whole: unknown = JSON.parse(text)
        const { places, total } = await source.children('', 0, signal)
        assert.equal(total, whole !== null && typeof whole === 'object' ? Object.keys(whole).length : 0)
        for (const place of places) {
          const value: unknown = Reflect.get(Object(whole), place.key ?? String(place.index))
          if (place.sizeBytes < 200) assert.deepEqual(JSON.parse(place.preview ?? ''), value)
        }
      }),
      { seed: 17, numRuns: 200 },
    )
  })

  it('is refused where it is none', () => {
    for (const text of ['', '{', '[1,]', 'x']) assert.throws(() => createLocalSource(text), { code: 'INVALID_PAYLOAD' })
  })
})

describe('the line of time', () => {
  it('cuts idle time short, and keeps the order of moments', () => {
    const scale = createTimeScale([
      { start: 1000, end: 2000 },
      { start: 500_000, end: 501_000 },
      { start: 500_200, end: 500_600 },
    ])
    const moments = [1000, 1500, 2000, 300_000, 500_000, 500_500, 501_000].map(scale.at)
    assert.deepEqual(
      moments.toSorted((one, other) => one - other),
      moments,
    )
    assert.deepEqual([moments[0], moments.at(-1)], [0, 100])
    assert.equal(scale.gaps.length, 1)
    const [gap] = scale.gaps
    assert.equal(gap?.millis, 498_000)
    assert.ok(gap.end - gap.start < 10)
  })

  it('has a place for anything, also of a run without time', () => {
    for (const spans of [[], [{ start: 5, end: 5 }]]) {
      const scale = createTimeScale(spans)
      for (const moment of [0, 5, 9]) assert.ok(scale.at(moment) >= 0 && scale.at(moment) <= 100)
    }
  })
})
