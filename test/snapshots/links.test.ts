import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { ANYONE, LINK_HOLDERS, STRANGER, type Viewer } from '../../src/auth/viewer.ts'
import type { Snapshot } from '../../src/model/snapshot.ts'
import { createLinks, type MadeLink } from '../../src/snapshots/links.ts'
import { createMayRead } from '../../src/snapshots/may-read.ts'
import { parsePolicies } from '../../src/snapshots/policies.ts'
import { createLinkSigner } from '../../src/storage/links/signed-link.ts'
import type { Storage } from '../../src/storage/registry.ts'

const SIGNED = { url: 'https://store.example/object?signature', expiresAt: new Date(0) }

/** A store that signs whatever it is asked for. */
const storage = {
  resolve: () => ({ backend: { getSignedUrl: async () => SIGNED }, uri: {} }),
} as unknown as Storage
const signer = createLinkSigner({ secrets: ['x'.repeat(32)], maxSeconds: 60, publicUrl: 'https://here.example' })
const { value: policies } = parsePolicies('{"known": ["/a"]}')

const tagged = {
  snapshotId: '00000000-0000-4000-8000-000000000000',
  runId: 'run',
  seq: 1,
  storageUri: 's3://bucket/key',
  hasInlineCopy: false,
  contentEncoding: 'identity',
  contentType: 'application/json',
  digest: `sha256:${'0'.repeat(64)}`,
  digestOf: 'PAYLOAD',
  piiTags: ['email'],
  redactionPolicy: 'known',
} as unknown as Snapshot

describe('a link to a state with personal data, in a store that signs', () => {
  const made: MadeLink[] = []
  const links = createLinks({
    storage,
    signer,
    maxSeconds: 60,
    mayRead: createMayRead(() => policies),
    onMade: (link) => made.push(link),
  })
  const request = { expiresInSeconds: 30, disposition: 'INLINE' } as const
  const ask = async (snapshot: Snapshot, viewer: Viewer) => {
    const { url, direct } = await links.ticket(snapshot, request, viewer)
    return [direct, (await links.sign(snapshot, request, viewer))?.url === url, new URL(url).hostname]
  }

  it("is the store's own for whoever may have it whole, and leads here for whoever may not", async () => {
    assert.deepEqual(await ask(tagged, ANYONE), [true, true, 'store.example'])
    assert.deepEqual(await ask({ ...tagged, piiTags: [] }, LINK_HOLDERS.masked), [true, true, 'store.example'])
    assert.deepEqual(await ask(tagged, LINK_HOLDERS.masked), [false, true, 'here.example'])
    // What he sees of the row changes nothing of that.
    const seen = { ...tagged, digest: null, sizeBytes: null, row: tagged }
    assert.deepEqual(await ask(seen, LINK_HOLDERS.masked), [false, true, 'here.example'])
    assert.deepEqual(
      made.map(({ access, direct }) => [access, direct]).filter((_link, i) => i % 2 === 0),
      [
        ['whole', true],
        ['whole', true],
        ['masked', false],
        ['masked', false],
      ],
    )
  })

  it('is made for nobody who may not read it, and none is told of then', async () => {
    made.length = 0
    for (const [snapshot, viewer] of [
      [{ ...tagged, redactionPolicy: 'other' }, LINK_HOLDERS.masked],
      [{ ...tagged, redactionPolicy: null }, LINK_HOLDERS.masked],
      [tagged, STRANGER],
      [{ ...tagged, piiTags: [] }, STRANGER],
    ] as const) {
      await assert.rejects(links.ticket(snapshot, request, viewer), { code: 'FORBIDDEN' })
      await assert.rejects(links.sign(snapshot, request, viewer), { code: 'FORBIDDEN' })
    }
    assert.deepEqual(made, [])
  })

  it('is told to lead nowhere any more only to whoever holds one that was signed here', async () => {
    const { url } = await links.ticket(tagged, request, LINK_HOLDERS.masked)
    const query = url.slice(url.indexOf('?') + 1)
    assert.equal(links.missing(query, tagged.snapshotId).code, 'NOT_FOUND')
    const other = '00000000-0000-4000-8000-000000000001'
    const queries = ['', 'exp=1', query.replace('&access=masked', ''), query.replace(/sig=.{5}/, 'sig=AAAAA')]
    assert.equal(links.missing(query, other).code, 'LINK_INVALID')
    for (const wrong of queries) assert.equal(links.missing(wrong, tagged.snapshotId).code, 'LINK_INVALID', wrong)
  })
})
