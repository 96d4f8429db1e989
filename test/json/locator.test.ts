import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { createJsonLocator } from '../../src/json/locator.ts'

type Path = readonly (string | number)[]

/** Every value within another, with its path. */
function* within(value: unknown, path: Path = []): Generator<readonly [Path, unknown]> {
  if (path.length > 0) yield [path, value]
  if (typeof value !== 'object' || value === null) return
  const entries = Array.isArray(value) ? value.entries() : Object.entries(value)
  for (const [key, item] of entries) yield* within(item, [...path, key])
}

describe('the text of a value at a path', () => {
  it('is what the value was parsed from', () => {
    fc.assert(
      fc.property(fc.jsonValue({ maxDepth: 4 }), fc.constantFrom('', ' ', '\t', '\n '), (value, indent) => {
        const text = ` ${JSON.stringify(value, null, indent)}\r\n`
        const locate = createJsonLocator(text)
        for (const [path, part] of within(JSON.parse(text))) {
          assert.deepEqual(JSON.parse(locate(path) ?? ''), part, `${JSON.stringify(path)} of ${text}`)
        }
      }),
    )
  })

  it('keeps what parsing would change', () => {
    const locate = createJsonLocator(
      '{"a":1,"v":{"i": { "n" : 1.0 ,"n":-0,"\\u0070":[1E400 , "\\"}\\\\", { "z":1,"a" :[ ] }],"__proto__":"\\ud83e" } }}',
    )
    assert.equal(locate(['v', 'i', 'n']), '-0')
    assert.equal(locate(['v', 'i', 'p']), '[1E400 , "\\"}\\\\", { "z":1,"a" :[ ] }]')
    assert.equal(locate(['v', 'i', 'p', 2]), '{ "z":1,"a" :[ ] }')
    assert.equal(locate(['v', 'i', 'p', 2, 'a']), '[ ]')
    assert.equal(locate(['v', 'i', '__proto__']), '"\\ud83e"')
  })

  it('is none where there is no such place', () => {
    const locate = createJsonLocator('{"a":[1],"b":"x","c":{}}')
    for (const path of [['d'], ['a', 1], ['b', 0], ['c', 'constructor'], ['a', 'length']]) {
      assert.equal(locate(path), undefined, path.join())
    }
  })
})
