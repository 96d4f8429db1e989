import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { describe, it } from 'node:test'
import { createFailurePace } from '../../src/auth/failures.ts'
import { createToken, createTokenCheck, formatTokenEntry, parseTokenFile } from '../../src/auth/tokens.ts'

describe('a file of tokens', () => {
  it('has their digests, and whoever shows one of them is who the line says', () => {
    const made = createToken('ci', ['write', 'delete'])
    const { entries, problems } = parseTokenFile(`# whose\n\n  ${formatTokenEntry(made.entry)}  \r\n`)
    assert.deepEqual([entries, problems], [[made.entry], []])
    assert.match(made.token, /^sl_[\w-]{43}$/)
    assert.equal(made.entry.digest, `sha256:${createHash('sha256').update(made.token).digest('hex')}`)
    const check = createTokenCheck(entries)
    assert.deepEqual(check(made.token), { name: 'ci', scopes: new Set(['write', 'delete']), mode: 'token' })
    for (const wrong of [
      '',
      'sl_',
      made.token.slice(1),
      `${made.token} `,
      made.entry.digest,
      createToken('ci', ['read']).token,
    ]) {
      assert.equal(check(wrong), null)
    }
  })

  it('counts with its good lines, and tells the place of each of the others without what stands there', () => {
    const digest = `sha256:${'0'.repeat(64)}`
    const lines = [
      'a read sha256:12',
      'b canary sha256:x',
      `c read,canary ${digest}`,
      `d read ${digest} more`,
      `e  ${digest}`,
      `f read ${digest}`,
      `f write ${digest}`,
      `${'x'.repeat(129)} read ${digest}`,
      `g read, ${digest}`,
    ]
    const { entries, problems } = parseTokenFile(lines.join('\n'))
    assert.deepEqual(
      entries.map(({ name }) => name),
      ['f'],
    )
    assert.deepEqual(
      problems.map((problem) => /line (\d+)/.exec(problem)?.[1]),
      ['1', '2', '3', '4', '5', '7', '8', '9'],
    )
    assert.doesNotMatch(problems.join(), /canary|sha256:/)
  })

  it('gives nobody a name that the file could not hold', () => {
    for (const name of ['', 'a b', 'a\nb read x', 'é', '#x'])
      assert.throws(() => createToken(name, ['read']), RangeError)
  })

  it('is compared in the same time, whatever is shown', async () => {
    const source = await readFile(new URL('../../src/auth/tokens.ts', import.meta.url), 'utf8')
    assert.match(source, /timingSafeEqual\(found\.digest, digest\)/)
    assert.doesNotMatch(source, /===\s*(?:token|digest)\b/)
  })
})

describe('failures to log in', () => {
  it('are too many by address, and fewer again with time', () => {
    let now = 0
    const isTooMuch = createFailurePace({ burst: 3, perMinute: 60, now: () => now })
    const tries = (address: string, count: number) => Array.from({ length: count }, () => isTooMuch(address))
    assert.deepEqual(tries('10.0.0.1', 5), [false, false, false, true, true])
    assert.deepEqual(tries('10.0.0.2', 1), [false])
    now += 1000
    assert.deepEqual(tries('10.0.0.1', 2), [false, true])
    now += 3_600_000
    assert.deepEqual(tries('10.0.0.1', 4), [false, false, false, true])
  })

  it('are those of a whole network of 64 bits in IPv6', () => {
    const isTooMuch = createFailurePace({ burst: 2, perMinute: 1, now: () => 0 })
    assert.deepEqual(
      ['2001:db8:0:1::1', '2001:db8:0:1:ffff::2', '2001:db8::1:0:0:0:9', '2001:db8:0:2::1', '::ffff:10.0.0.1'].map(
        isTooMuch,
      ),
      [false, false, true, false, false],
    )
  })
})
