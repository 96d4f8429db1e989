import assert from 'node:assert/strict'
import { readdir, readFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { describe, it } from 'node:test'
import { BARS, judge } from '../bench/lib/bars.ts'
import { quantile, ratios, spread } from '../bench/lib/statistics.ts'

const BENCH = join(import.meta.dirname, '..', 'bench')

describe('the bars of the bench', () => {
  it('each have a name of their own, one limit, and say how they are measured', () => {
    assert.equal(new Set(BARS.map(({ name }) => name)).size, BARS.length)
    for (const { name, what, how, atLeast, atMost, wanted } of BARS) {
      assert.ok(what && how, name)
      assert.equal([atLeast, atMost].filter((limit) => limit !== undefined).length, 1, name)
      if (wanted !== undefined) assert.ok(atLeast === undefined ? wanted <= Number(atMost) : wanted >= atLeast, name)
    }
  })

  const bar = { name: 'any', what: 'any', how: 'any', unit: '×', atMost: 1.4, wanted: 1.1 }

  it('are missed by more than the rounds are apart, and by nothing less', () => {
    assert.equal(judge(bar, [1.5, 1.52, 1.54]), 'missed')
    assert.equal(judge(bar, [1.3, 1.5, 2]), 'within the noise')
    assert.equal(judge(bar, [1.2, 1.3, 9]), 'pass')
    assert.equal(judge(bar, [1, 1.1, 1.2]), 'wanted')
    const least = { name: 'any', what: 'any', how: 'any', unit: '×', atLeast: 2, wanted: 3 }
    assert.deepEqual(
      [
        [1, 1, 1],
        [1, 1.9, 2.1],
        [2.5, 2.5, 2.5],
        [3, 3, 3],
      ].map((values) => judge(least, values)),
      ['missed', 'within the noise', 'pass', 'wanted'],
    )
  })

  it('are not missed in too few rounds, unless one is enough', () => {
    assert.equal(judge(bar, [9, 9]), 'too few rounds')
    assert.equal(judge({ ...bar, isExact: true }, [9]), 'missed')
    assert.equal(judge(bar, []), 'not measured')
    assert.equal(judge(bar, [Number.NaN, Number.NaN, Number.NaN]), 'not measured')
  })

  it('have a place in the README for every part that writes there', async () => {
    const readme = await readFile(join(BENCH, 'README.md'), 'utf8')
    const sources = [
      'run.ts',
      'access.ts',
      'lib/payload-parts.ts',
      'adopt.ts',
      'deletion.ts',
      'disk.ts',
      'live.ts',
      'live-clients.ts',
      'load.ts',
      'places.ts',
      'scale.ts',
      'seen.ts',
      'upload.ts',
      'workers.ts',
    ]
    const texts = await Promise.all(sources.map((path) => readFile(join(BENCH, path), 'utf8')))
    const places = /\{ name: '([\w-]+)', beside|endPart\('([\w-]+)'/g
    const names = texts.flatMap((text) => [...text.matchAll(places)].map(([, part, command]) => part ?? command))
    assert.equal(names.length, 21)
    for (const name of names) assert.match(readme, new RegExp(`<!-- bench: ${name} -->[^]*<!-- end of ${name} -->`))
  })
})

describe('a file of the bench', () => {
  it('takes nothing from another that the other does not give', async () => {
    const paths = (await readdir(BENCH, { recursive: true })).filter(
      (path) => path.endsWith('.ts') && !path.includes('node_modules'),
    )
    let count = 0
    for (const path of paths) {
      const text = await readFile(join(BENCH, path), 'utf8')
      for (const [, names = '', from = ''] of text.matchAll(/^import (?:type )?\{([^}]+)\} from '(\.[^']+\.ts)'/gm)) {
        const other = await readFile(join(BENCH, dirname(path), from), 'utf8')
        for (const name of names.split(',').map((part) => part.trim().replace(/^type |\s+as .*$/g, ''))) {
          if (name === '') continue
          const given = `^export (?:async )?(?:const|let|function\\*?|class|interface|type|abstract class) ${name}\\b|^export .*\\{[^}]*\\b${name}\\b`
          assert.match(other, new RegExp(given, 'm'), `${path} takes ${name} from ${from}`)
          count++
        }
      }
    }
    assert.ok(count > 100)
  })
})

describe('the statistics of the bench', () => {
  it('pair the rounds, and take the spread between the quartiles', () => {
    assert.deepEqual(ratios([2, 6], [1, 2]), [2, 3])
    assert.equal(quantile([4, 1, 3, 2], 0.5), 2.5)
    assert.equal(spread([1, 2, 3, 4, 5]), 2)
    assert.ok(Number.isNaN(spread([])))
  })
})
