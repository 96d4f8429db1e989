import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { createMasker } from '../../../src/json/mask/masker.ts'
import { createPlaces, keysOfPointer } from '../../../src/json/mask/places.ts'
import { checkMasking, checkWideMasking, maskCut, pointersOf } from './differential.ts'

const CASES: readonly (readonly [string, readonly string[], string])[] = [
  ['{"a":1,"b":2}', ['/a'], '{"a":"[redacted]","b":2}'],
  ['{"a":1,"a":{"x":[1]},"a":"s"}', ['/a'], '{"a":"[redacted]","a":"[redacted]","a":"[redacted]"}'],
  ['{"\\u0061":1,"A":2}', ['/a'], '{"\\u0061":"[redacted]","A":2}'],
  ['{"a/b":1,"a~b":2,"":3}', ['/a~1b', '/a~0b', '/'], '{"a/b":"[redacted]","a~b":"[redacted]","":"[redacted]"}'],
  ['{"\\ud83d\\ude00":1,"😀":2}', ['/😀'], '{"\\ud83d\\ude00":"[redacted]","😀":"[redacted]"}'],
  [' [1, [2,3] ,{"x":4}] ', ['/1/0', '/2'], ' [1, ["[redacted]",3] ,"[redacted]"] '],
  [
    '[{"text":"a","n":[]},{"text":{"deep":["\\"}"]}},"text"]',
    ['/*/text'],
    '[{"text":"[redacted]","n":[]},{"text":"[redacted]"},"text"]',
  ],
  ['{"a":{"b":1,"c":2},"d":{"b":3}}', ['/*/b', '/a'], '{"a":"[redacted]","d":{"b":"[redacted]"}}'],
  ['{"0":1,"a":[5,6]}', ['/0', '/a/1', '/a/01'], '{"0":"[redacted]","a":[5,"[redacted]"]}'],
  ['\n {"a":[true]}\t', [''], '\n "[redacted]"\t'],
  ['-12.5e+3', [''], '"[redacted]"'],
  ['"x"', ['/a'], '"x"'],
  ['[]', ['/*', '/*/*'], '[]'],
  ['{"*":1,"b":2}', ['/*'], '{"*":"[redacted]","b":"[redacted]"}'],
  ['{"a":{"b":1}}', ['/a/b/c'], '{"a":{"b":1}}'],
  ['{"__proto__":1,"constructor":2}', ['/__proto__'], '{"__proto__":"[redacted]","constructor":2}'],
]

describe('what pointers lead to', () => {
  it('is masked, and nothing else is changed, wherever the text is cut', () => {
    for (const [text, pointers, masked] of CASES) {
      const bytes = Buffer.from(text)
      const keys = pointersOf(...pointers)
      for (let at = 0; at <= bytes.length; at++)
        assert.equal(maskCut(bytes, keys, [at]), masked, `${text} cut at ${at}`)
      const each = Array.from({ length: bytes.length }, (_, i) => i)
      assert.equal(maskCut(bytes, keys, each), masked, text)
    }
  })

  it('is the same as is found by parsing, for random texts, pointers and cuts', () => {
    let masked = 0
    for (let seed = 0; seed < 1500; seed++) masked += checkMasking(seed)
    assert.ok(masked > 500, `${masked} values were masked`)
  })

  it('is the same in documents that are long enough to be masked by marks', () => {
    let masked = 0
    for (let seed = 0; seed < 150; seed++) masked += checkWideMasking(seed)
    assert.ok(masked > 1500, `${masked} values were masked`)
  })

  it('is the same where a text is repeated until every block is cut elsewhere', () => {
    for (const [text, pointers, masked] of CASES) {
      const keys = pointersOf(...pointers).map((each) => ['*', ...each])
      for (const gap of ['', ' ', '\n   ']) {
        const many = (one: string) => `[${Array.from({ length: 300 }, () => one).join(`${gap},${gap}`)}]`
        assert.equal(maskCut(Buffer.from(many(text)), keys, [2000, 5003]), many(masked), text)
      }
    }
  })

  it('is not held: neither a container nor a key that is larger than any that is looked for', () => {
    const masker = createMasker(createPlaces(pointersOf('/a', '/b/*')))
    let out = 0
    const write = (text: string) => {
      out += masker.write(Buffer.from(text)).length
    }
    const block = 'x'.repeat(1_000_000)
    write('{"')
    for (let i = 0; i < 50; i++) write(block)
    write('":1,"a":[')
    const before = process.memoryUsage().arrayBuffers
    for (let i = 0; i < 50; i++) write(`"${block}",{"k":[${i}]},`)
    write('0],"c":2}')
    masker.end()
    assert.equal(out, '{"":1,"a":"[redacted]","c":2}'.length + 50_000_000)
    assert.ok(process.memoryUsage().arrayBuffers - before < 100_000_000)
  })
})

describe('what is no JSON', () => {
  it('is refused as soon as that shows', () => {
    const texts = [
      '',
      ' ',
      '{',
      '{"a":1',
      '[1',
      '{"a"',
      '"x',
      'x',
      '[x]',
      '{"a":x}',
      '{,}',
      '[1]]',
      '{} 1',
      '{"a" 1}',
      '<html>',
      '{"a":1}}',
      '[,1]',
      '{"\\u00zz":1}',
      '\ufeff{}',
    ]
    for (const text of texts) {
      const masker = createMasker(createPlaces(pointersOf('/a', '/aaaa')))
      const run = () => {
        masker.write(Buffer.from(text))
        masker.end()
      }
      assert.throws(run, { code: 'INVALID_PAYLOAD' }, text)
    }
  })

  it('has no byte handed on of what would have been masked', () => {
    for (const text of ['{"a":secret}', '{"a":"secret', '{"a":["secret"', '{"a":{"x":secret']) {
      const masker = createMasker(createPlaces(pointersOf('/a')))
      let out = ''
      assert.throws(() => {
        for (let at = 0; at < text.length; at++) out += masker.write(Buffer.from(text.slice(at, at + 1)))
        masker.end()
      })
      assert.ok(!/[secrt]{2}/.test(out.replaceAll('redacted', '')), out)
    }
  })
})

describe('a pointer', () => {
  it('is read as RFC 6901 says, and refused as none where it is none', () => {
    assert.deepEqual(keysOfPointer(''), [])
    assert.deepEqual(keysOfPointer('/'), [''])
    assert.deepEqual(keysOfPointer('/a~1b/m~0n/~01/*'), ['a/b', 'm~n', '~1', '*'])
    for (const wrong of ['a', 'a/b', '/~', '/~2', '#/a', '$.a']) assert.equal(keysOfPointer(wrong), null, wrong)
  })
})
