import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { describe, it } from 'node:test'
import { createUploadLinkSigner } from '../../../src/storage/links/upload-link.ts'

const [OLD, NEW] = ['o'.repeat(32), 'n'.repeat(32)]
const NOW = 1_800_000_000_000

function signerOf(secrets: readonly string[], { publicUrl = 'https://a.example.com/states/', now = NOW } = {}) {
  return createUploadLinkSigner({ secrets, publicUrl, maxSeconds: 3600, now: () => now })
}

function queryOf(url: string): string {
  return url.slice(url.indexOf('?') + 1)
}

describe('a link to an upload', () => {
  const uploadId = randomUUID()

  it('leads to the public URL, and ends when it says', () => {
    const { url, expiresAt } = signerOf([NEW]).sign(uploadId, 60)
    assert.ok(url.startsWith(`https://a.example.com/states/uploads/${uploadId}?exp=1800000060&kid=`))
    assert.equal(expiresAt.getTime(), NOW + 60_000)
    signerOf([NEW], { now: NOW + 59_999 }).verify(queryOf(url), uploadId)
    assert.throws(() => signerOf([NEW], { now: NOW + 60_000 }).verify(queryOf(url), uploadId), { code: 'LINK_EXPIRED' })
  })

  it('is good under every secret that is still there, and for one deployment and upload', () => {
    const query = queryOf(signerOf([OLD]).sign(uploadId, 60).url)
    signerOf([NEW, OLD]).verify(query, uploadId)
    for (const signer of [signerOf([NEW]), signerOf([OLD], { publicUrl: 'https://b.example.com' })]) {
      assert.throws(() => signer.verify(query, uploadId), { code: 'LINK_INVALID' })
    }
    assert.throws(() => signerOf([OLD]).verify(query, randomUUID()), { code: 'LINK_INVALID' })
  })

  it('lives 1 second to the limit', () => {
    for (const seconds of [0, -1, 1.5, 3601, Number.NaN]) {
      assert.throws(() => signerOf([NEW]).sign(uploadId, seconds), { code: 'BAD_REQUEST' })
    }
  })
})
