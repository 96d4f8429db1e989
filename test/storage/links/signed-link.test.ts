import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { describe, it } from 'node:test'
import { isAppError } from '../../../src/errors.ts'
import { createLinkSigner, type LinkRequest, type LinkSignerOptions } from '../../../src/storage/links/signed-link.ts'

const NOW = Date.UTC(2026, 0, 2, 3, 4, 5, 678)
const DAY_SECONDS = 24 * 3600
const MAX_SECONDS = DAY_SECONDS
const OLD = 'an old secret of at least 32 bytes!'
const NEW = 'a newer secret of at least 32 bytes'
const TARGET = { snapshotId: '5e0f9a3c-7b1d-4d5e-8f60-112233445566', digest: `sha256:${'ab'.repeat(32)}` }
const REQUEST: LinkRequest = { ...TARGET, expiresInSeconds: 3600, disposition: 'attachment', filename: 'état "1".json' }
const URL_CHARACTERS = [...'abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_=&%.+/ ']

function signerAt(milliseconds: number, options?: Partial<LinkSignerOptions>) {
  const now = () => milliseconds
  return createLinkSigner({
    secrets: [NEW],
    publicUrl: 'https://a.example/base/',
    maxSeconds: MAX_SECONDS,
    now,
    ...options,
  })
}

const signer = signerAt(NOW)

function queryOf(request: LinkRequest = REQUEST): string {
  return signer.sign(request).url.split('?')[1] ?? ''
}

function isRefused(query: string): boolean {
  try {
    signer.verify(query, TARGET)
    return false
  } catch (error) {
    assert.ok(isAppError(error, 'LINK_INVALID'), `${query}: ${String(error)}`)
    return true
  }
}

describe('a signed link', () => {
  it('leads to the payload route below the public URL', () => {
    const { url, expiresAt } = signer.sign(REQUEST)
    assert.ok(url.startsWith(`https://a.example/base/snapshots/${TARGET.snapshotId}/payload?exp=`))
    assert.equal(expiresAt.getTime(), Math.floor(NOW / 1000) * 1000 + 3600_000)
  })

  it('gives back what was signed', () => {
    const presentation = { access: 'whole', disposition: 'attachment', filename: 'état "1".json' }
    assert.deepEqual(signer.verify(queryOf(), TARGET), presentation)
    const plain: LinkRequest = { ...TARGET, expiresInSeconds: 1, disposition: 'inline' }
    assert.deepEqual(signer.verify(queryOf(plain), TARGET), { access: 'whole', disposition: 'inline', filename: null })
  })

  it('survives a URL parser', () => {
    assert.equal(new URL(signer.sign(REQUEST).url).search, `?${queryOf()}`)
  })

  it('is refused when any one character differs', () => {
    for (const query of [queryOf(), queryOf({ ...TARGET, expiresInSeconds: 60, disposition: 'inline' })]) {
      for (let at = 0; at < query.length; at += 1) {
        const others = URL_CHARACTERS.filter((character) => character !== query[at])
        for (const other of others) assert.ok(isRefused(query.slice(0, at) + other + query.slice(at + 1)))
        assert.ok(isRefused(query.slice(0, at) + query.slice(at + 1)))
      }
    }
  })

  it('is refused when its parts are doubled, reordered, added to or spelled otherwise', () => {
    const query = queryOf()
    const [exp, kid, disposition, filename, sig] = query.split('&')
    const mutants = [
      [kid, exp, disposition, filename, sig],
      [exp, exp, kid, disposition, filename, sig],
      [exp, kid, disposition, filename, sig, sig],
      [exp, kid, disposition, filename, sig, 'x=1'],
      [exp, kid, disposition, sig],
      [exp, kid, filename, sig],
      [exp, kid, disposition, filename],
      ['x=1', exp, kid, disposition, filename, sig],
    ].map((parts) => parts.join('&'))
    const spellings = [
      `?${query}`,
      `${query}#`,
      `${query}\n`,
      `${query};x=1`,
      query.toUpperCase(),
      query.replace('exp=', 'exp[]='),
      '',
      '&',
    ]
    for (const mutant of [...mutants, ...spellings]) assert.ok(isRefused(mutant))
  })

  it('is refused with an expiry that only Number() would take', () => {
    const query = queryOf()
    for (const exp of [
      '1e10',
      '0x6957',
      '+1',
      '%31',
      '-1',
      '',
      'NaN',
      '01767323045',
      '99999999999',
      '9999999999',
      ' 1767323045',
    ]) {
      assert.ok(isRefused(query.replace(/exp=\d+/, `exp=${exp}`)))
    }
  })

  it('is refused with a signature of another form', () => {
    const query = queryOf()
    const sig = query.slice(-43)
    const bytes = Buffer.from(sig, 'base64url')
    for (const form of [bytes.toString('hex'), bytes.toString('base64'), `${sig}=`, sig.slice(1), `${sig}A`, '']) {
      assert.ok(isRefused(query.slice(0, -43) + form))
    }
  })

  it('opens nothing but the snapshot and the content it was made for, on its own deployment', () => {
    const query = queryOf()
    const other = { code: 'LINK_INVALID' }
    assert.throws(() => signer.verify(query, { ...TARGET, snapshotId: 'other' }), other)
    assert.throws(() => signer.verify(query, { ...TARGET, digest: null }), other)
    assert.throws(() => signer.verify(query, { ...TARGET, digest: `sha256:${'cd'.repeat(32)}` }), other)
    assert.throws(() => signerAt(NOW, { publicUrl: 'https://b.example' }).verify(query, TARGET), other)
  })

  it('works for a payload without a digest', () => {
    const target = { snapshotId: 'a/b:ü', digest: null }
    const { url } = signer.sign({ ...target, expiresInSeconds: 60, disposition: 'inline' })
    assert.ok(url.includes('/snapshots/a%2Fb%3A%C3%BC/payload?'))
    assert.equal(signer.verify(url.split('?')[1] ?? '', target).disposition, 'inline')
  })

  it('keeps the fields of the signature apart', () => {
    const query = queryOf({ snapshotId: 'ab', digest: 'c', expiresInSeconds: 60, disposition: 'inline' })
    assert.throws(() => signer.verify(query, { snapshotId: 'a', digest: 'bc' }), { code: 'LINK_INVALID' })
  })
})

describe('the life of a link', () => {
  const query = queryOf()
  const expiry = Math.floor(NOW / 1000) * 1000 + 3600_000

  it('ends at its expiry', () => {
    assert.equal(signerAt(expiry - 1).verify(query, TARGET).disposition, 'attachment')
    for (const late of [expiry, expiry + 1, expiry + 1000]) {
      assert.throws(() => signerAt(late).verify(query, TARGET), { code: 'LINK_EXPIRED' })
    }
  })

  it('is told to nobody who cannot sign', () => {
    const forged = query.replace(/sig=./, (start) => (start === 'sig=A' ? 'sig=B' : 'sig=A'))
    assert.throws(() => signerAt(expiry + 1000).verify(forged, TARGET), { code: 'LINK_INVALID' })
  })

  it('is 1 second to the limit when asked for, and the limit is a setting', () => {
    for (const expiresInSeconds of [0, -1, 1.5, Number.NaN, MAX_SECONDS + 1, Number.POSITIVE_INFINITY]) {
      assert.throws(() => signer.sign({ ...REQUEST, expiresInSeconds }), { code: 'BAD_REQUEST' })
    }
    const short = signerAt(NOW, { maxSeconds: 60 })
    assert.throws(() => short.sign({ ...REQUEST, expiresInSeconds: 61 }), { code: 'BAD_REQUEST' })
    const long = signerAt(NOW, { maxSeconds: 7 * DAY_SECONDS })
    const { expiresAt } = long.sign({ ...REQUEST, expiresInSeconds: 7 * DAY_SECONDS })
    assert.equal(expiresAt.getTime(), Math.floor(NOW / 1000) * 1000 + 7 * DAY_SECONDS * 1000)
  })

  it('may begin up to two minutes in the future of the one who verifies, and no second more', () => {
    const query = queryOf({ ...REQUEST, expiresInSeconds: MAX_SECONDS })
    const signedAt = Math.floor(NOW / 1000) * 1000
    assert.equal(signerAt(signedAt - 120_000).verify(query, TARGET).disposition, 'attachment')
    assert.throws(() => signerAt(signedAt - 120_001).verify(query, TARGET), { code: 'LINK_INVALID' })
    // A link of a shorter life says nothing of when it was made.
    assert.equal(signerAt(signedAt - 3600_000).verify(queryOf(), TARGET).disposition, 'attachment')
  })

  it('has no allowance at its end, however far the clocks are apart', () => {
    const query = queryOf({ ...REQUEST, expiresInSeconds: 60 })
    const signedAt = Math.floor(NOW / 1000) * 1000
    assert.equal(signerAt(signedAt + 59_999).verify(query, TARGET).disposition, 'attachment')
    assert.throws(() => signerAt(signedAt + 120_000).verify(query, TARGET), { code: 'LINK_EXPIRED' })
  })

  it('ends when the limit is lowered below what is left of it', () => {
    const lowered = signerAt(NOW, { maxSeconds: 60 })
    assert.throws(() => lowered.verify(queryOf(), TARGET), { code: 'LINK_INVALID' })
  })
})

describe('a file name', () => {
  it('is refused when a header could not carry it', () => {
    for (const filename of ['', 'a\r\nb', 'a\0', '\ud800', 'a'.repeat(256), 'ä'.repeat(128)]) {
      assert.throws(() => signer.sign({ ...REQUEST, filename }), { code: 'BAD_REQUEST' })
    }
  })

  it('comes back as it was, whatever is in it', () => {
    for (const filename of ["a'b(c)*!~.json", 'a&sig=b#?', '%2F%zz', 'ü'.repeat(127), '../../etc', '🙂']) {
      assert.equal(signer.verify(queryOf({ ...REQUEST, filename }), TARGET).filename, filename)
    }
  })
})

describe('secrets', () => {
  it('rotate: the first signs, all verify, one that is taken out fails', () => {
    const query =
      signerAt(NOW, { secrets: [OLD] })
        .sign(REQUEST)
        .url.split('?')[1] ?? ''
    const both = signerAt(NOW, { secrets: [NEW, OLD] })
    assert.equal(both.verify(query, TARGET).disposition, 'attachment')
    assert.throws(() => signerAt(NOW, { secrets: [NEW] }).verify(query, TARGET), { code: 'LINK_INVALID' })
    assert.equal(both.sign(REQUEST).url, signer.sign(REQUEST).url)
  })

  it('verify for as long as they are kept, and their links end when they ought to', () => {
    const query = queryOf()
    const kept = (milliseconds: number) => signerAt(milliseconds, { secrets: [OLD, NEW] })
    const expiry = Math.floor(NOW / 1000) * 1000 + 3600_000
    assert.equal(kept(expiry - 1).verify(query, TARGET).disposition, 'attachment')
    assert.throws(() => kept(expiry).verify(query, TARGET), { code: 'LINK_EXPIRED' })
  })

  it('are not to be had by trying: a key id of another secret, and signatures compared in constant time', async () => {
    const kidOf = (query: string) => /kid=([^&]+)/.exec(query)?.[1] ?? assert.fail()
    const old = signerAt(NOW, { secrets: [OLD] }).sign(REQUEST).url
    const both = signerAt(NOW, { secrets: [NEW, OLD] })
    const swapped = queryOf().replace(kidOf(queryOf()), kidOf(old))
    assert.throws(() => both.verify(swapped, TARGET), { code: 'LINK_INVALID' })
    const source = await readFile(new URL('../../../src/storage/links/signed-link.ts', import.meta.url), 'utf8')
    assert.match(source, /!timingSafeEqual\(Buffer\.from\(sig\), Buffer\.from\(expected\)\)/)
    assert.doesNotMatch(source, /\bsig\s*[!=]==?|[!=]==?\s*(?:sig|expected)\b|\.(?:equals|compare)\(/)
  })

  it('are needed', () => {
    assert.throws(() => signerAt(NOW, { secrets: [] }), { code: 'INTERNAL_SERVER_ERROR' })
  })

  it('appear in no link and no error', () => {
    assert.ok(!signer.sign(REQUEST).url.includes(NEW))
    assert.throws(
      () => signer.verify('', TARGET),
      (error) => isAppError(error) && !error.message.includes('secret'),
    )
  })
})
