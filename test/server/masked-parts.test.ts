import assert from 'node:assert/strict'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import type { Scope } from '../../src/auth/scopes.ts'
import { codesByPath } from '../support/answers.ts'
import { type PlainResponse, send } from '../support/http.ts'
import { eventually, put, storedOf } from '../support/put.ts'
import { graphqlAt, startServer, type TestServer } from '../support/server.ts'
import { type TestTokens, tokensFor } from '../support/tokens.ts'

/** Hidden in each state, as a key, a string, a number, and escaped; the large one is above what is masked at once. */
const SECRET = 'geheimnis'
const NUMBER = '31415926'
const stateOf = (hidden: string, fillBytes: number) =>
  `{"open":{"a":1},"secret":{"${SECRET}":["${SECRET}${hidden}","\\u0067eheimnis",${NUMBER}]},"fill":"${'x'.repeat(fillBytes)}","n":${fillBytes}}`
const MASKED_SMALL = '{"open":{"a":1},"secret":"[redacted]","fill":"xxxxx","n":5}'

const SIZES = { small: 5, middle: 200_000, large: 2_000_000 }
type Size = keyof typeof SIZES
const TAGGED = 'piiTags=p&redactionPolicy=secret'

describe('a masked state, looked into', () => {
  let tokens: TestTokens
  let server: TestServer
  /** By run: of one and of the other the same state, and of `other` another that differs only in what is masked. */
  const ids = new Map<string, string>()

  before(async () => {
    tokens = await tokensFor(['read', 'pii:read'])
    const policies = join(tokens.folder, 'policies.json')
    await writeFile(policies, JSON.stringify({ secret: ['/secret'] }))
    server = await startServer({ env: { ...tokens.env, REDACTION_POLICIES_FILE: policies } })
    const headers = { authorization: `Bearer ${tokens.token('write')}` }
    const keep = async (runId: string, stepId: string, query: string, text: string) =>
      ids.set(`${runId} ${stepId}`, storedOf(await put(server.url, text, { runId, stepId, query, headers })).snapshotId)
    for (const [size, bytes] of Object.entries(SIZES)) {
      await keep('one', size, TAGGED, stateOf('1', bytes))
      await keep('same', size, TAGGED, stateOf('1', bytes))
      await keep('other', size, TAGGED, stateOf('2', bytes))
    }
    await keep('one', 'denied', 'piiTags=p', stateOf('1', 5))
    await keep('same', 'denied', 'piiTags=p', stateOf('1', 5))
    await keep('one', 'huge', TAGGED, stateOf('1', 5_000_000))
    await keep('one', 'free', '', '{"open":2}')
  })
  after(async () => {
    await server[Symbol.asyncDispose]()
    await tokens[Symbol.asyncDispose]()
  })

  const idOf = (runId: string, stepId: string) => ids.get(`${runId} ${stepId}`) ?? ''
  const asHolderOf = (...scopes: Scope[]) => graphqlAt(server.url, tokens.token(...scopes))
  const get = (target: string, headers: Record<string, string> = {}, scopes: Scope[] = ['read']) =>
    send(server.url, { target, headers: { ...headers, authorization: `Bearer ${tokens.token(...scopes)}` } })

  function assertHidden(what: object, { headers = {}, body }: { headers?: object; body: string | Buffer }): void {
    const text = JSON.stringify(headers) + body
    for (const secret of [SECRET, 'eheimnis', NUMBER, 'sha256:'])
      assert.ok(!text.includes(secret), `${JSON.stringify(what)} ${text.slice(0, 500)}`)
  }

  const FIELDS = `root: at { type childCount sizeBytes preview raw(maxBytes: 1000000) children { totalCount nodes { key type sizeBytes preview value } } }
    secret: at(pointer: "/secret") { pointer type childCount sizeBytes preview raw value children { nodes { raw } totalCount } }
    below: at(pointer: "/secret/${SECRET}/0") { raw }
    found: find(text: "${SECRET}") { nodes { excerpt node { pointer raw } } complete scannedBytes }
    number: find(text: "${NUMBER}") { nodes { excerpt } }
    keys: find(text: "${SECRET.slice(0, 5)}", in: KEYS, pointer: "/secret") { nodes { excerpt } }
    open: find(text: "open", in: KEYS) { nodes { node { raw } } }`

  it('shows what is left of it, and nothing through it, by every field of a place', async () => {
    for (const size of Object.keys(SIZES) as Size[]) {
      const query = `{ s: snapshotById(snapshotId: "${idOf('one', size)}") { ${FIELDS} } }`
      const { data, errors } = await asHolderOf('read')<{ s: Record<string, Record<string, unknown>> }>(query)
      const path = (errors ?? []).map((error) => JSON.stringify(error).replaceAll(`/secret/${SECRET}/0`, ''))
      assertHidden({ size }, { body: JSON.stringify(data) + path.join() })
      assert.deepEqual(data.s['secret'], {
        pointer: '/secret',
        type: 'STRING',
        childCount: null,
        sizeBytes: 12,
        preview: '"[redacted]"',
        raw: '"[redacted]"',
        value: '[redacted]',
        children: { nodes: [], totalCount: 0 },
      })
      const none = { nodes: [] }
      assert.deepEqual([data.s['number'], data.s['keys']], [none, none])
      assert.deepEqual([data.s['found']?.['nodes'], data.s['below']], [[], null])
      assert.deepEqual(data.s['open'], { nodes: [{ node: { raw: '{"a":1}' } }] })
      assert.equal(data.s['root']?.['sizeBytes'], MASKED_SMALL.length - 6 + SIZES[size] + String(SIZES[size]).length)
      const codes = errors?.map(({ extensions }) => extensions.code)
      assert.deepEqual(codes?.toSorted().at(-1), 'POINTER_NOT_FOUND')
      assert.equal(errors?.find(({ path: [, field] = [] }) => field === 'below')?.extensions['nearest'], '/secret')
    }
  })

  it('is read in parts by its masked bytes, under tags that are good for them alone', async () => {
    for (const size of Object.keys(SIZES) as Size[]) {
      const target = `/snapshots/${idOf('one', size)}/value?pointer=`
      const whole = await get(target, {}, ['read', 'pii:read'])
      assert.equal(whole.body.toString(), stateOf('1', SIZES[size]))
      const masked = await get(target)
      assertHidden({ size }, masked)
      assert.equal(masked.headers['content-length'], String(masked.body.length))
      assert.notEqual(masked.headers.etag, whole.headers.etag)
      assert.equal((await get(target, { 'if-match': String(whole.headers.etag) })).status, 412)
      assert.equal((await get(target, { 'if-none-match': String(whole.headers.etag) })).status, 200)
      const part = await get(`${target}/secret`, { range: 'bytes=1-3' })
      assert.deepEqual([part.status, part.body.toString(), part.headers['content-range']], [206, '[re', 'bytes 1-3/12'])
      assert.equal((await get(`${target}/secret/${SECRET}`)).status, 404)
      // The tag of another state that differs only in what is hidden is the same.
      const other = await get(`/snapshots/${idOf('other', size)}/value?pointer=`)
      assert.equal(other.headers.etag, masked.headers.etag)
    }
  })

  const DIFF = `identical summary { key status fromSizeBytes toSizeBytes }
    changes { totalCount bytesRead nodes { op pointer before { raw preview sizeBytes } after { raw value childCount } } }
    from { digest sizeBytes preview } to { digest sizeBytes preview }`

  it('differs from another by what is left of both', async () => {
    for (const size of Object.keys(SIZES) as Size[]) {
      for (const runId of ['same', 'other']) {
        const pair = { from: idOf('one', size), to: idOf(runId, size) }
        const query = `query($from: ID, $to: ID!) { s: snapshotById(snapshotId: $to) { diff(from: $from) { ${DIFF} } } }`
        const { data, errors } = await asHolderOf('read')<{ s: { diff: Record<string, unknown> } }>(query, pair)
        assert.equal(errors, undefined)
        assertHidden({ size, runId }, { body: JSON.stringify(data) })
        assert.equal(data.s.diff['identical'], true)
        const patch = await get(`/snapshots/${pair.to}/diff?from=${pair.from}`)
        assert.deepEqual([patch.status, patch.body.toString()], [200, '[]'])
        const whole = await get(`/snapshots/${pair.to}/diff?from=${pair.from}`, {}, ['read', 'pii:read'])
        assert.equal(whole.body.includes(SECRET), runId === 'other')
        assert.equal((await get(`/snapshots/${pair.to}/diff?from=${pair.from}&pointer=/secret/${SECRET}`)).status, 404)
      }
      const added = await get(`/snapshots/${idOf('one', size)}/diff?from=${idOf('one', 'free')}`)
      assert.equal(added.status, 200)
      assertHidden({ size }, added)
      const merge = { accept: 'application/merge-patch+json' }
      const merged = await get(`/snapshots/${idOf('one', size)}/diff?from=${idOf('one', 'free')}`, merge)
      assertHidden({ size }, merged)
      assert.match(merged.body.toString(), /"secret": ?"\[redacted\]"/)
    }
  })

  it('is compared with that of another run without telling whether what is hidden is the same', async () => {
    const compare = async (other: string, ...scopes: Scope[]) => {
      const step = 'base { stepId } identical'
      const query = `{ compareRuns(baseRunId: "one", otherRunId: "${other}") { firstDivergence { ${step} }
        steps(first: 3) { nodes { ${step} diff { identical changes(first: 5) { nodes { pointer } } } } } } }`
      return await asHolderOf(...scopes)<{
        compareRuns: { steps: { nodes: { identical: boolean | null }[] } }
      }>(query)
    }
    const [same, other] = [await compare('same', 'read'), await compare('other', 'read')]
    const identical = ({ data }: typeof same) => data.compareRuns.steps.nodes.map((step) => step.identical)
    assert.deepEqual(
      [identical(same), identical(other)],
      [
        [null, null, null],
        [null, null, null],
      ],
    )
    assert.deepEqual(same.data.compareRuns.steps, other.data.compareRuns.steps)
    assert.deepEqual(identical(await compare('same', 'read', 'pii:read')), [true, true, true])
    assert.deepEqual(identical(await compare('other', 'read', 'pii:read')), [false, false, false])
  })

  it('is refused by every way where no policy is known', async () => {
    const id = idOf('one', 'denied')
    const refused = (answer: PlainResponse) => {
      assert.deepEqual([answer.status, JSON.parse(answer.body.toString()).code], [403, 'FORBIDDEN'])
      assertHidden({}, answer)
    }
    for (const target of [
      `/snapshots/${id}/value`,
      `/snapshots/${id}/value?pointer=/open`,
      `/snapshots/${id}/diff`,
      `/snapshots/${id}/diff?from=${idOf('one', 'free')}`,
      `/snapshots/${idOf('one', 'free')}/diff?from=${id}`,
    ])
      refused(await get(target))
    const fields = `a: at { raw } f: find(text: "a") { complete } d: diff { summary { key } }
      e: diff(from: "${idOf('same', 'denied')}") { changes { nodes { op } } } i: diff(from: "${idOf('same', 'denied')}") { summary { key } }`
    const answer = await asHolderOf('read')(`{ s: snapshotById(snapshotId: "${id}") { ${fields} } }`)
    assertHidden({}, { body: JSON.stringify(answer) })
    assert.deepEqual(new Set(Object.values(codesByPath(answer))), new Set(['FORBIDDEN']))
    assert.equal(Object.keys(codesByPath(answer)).length, 5)
    const identical = await asHolderOf('read')(
      `{ s: snapshotById(snapshotId: "${id}") { diff(from: "${idOf('same', 'denied')}") { identical } } }`,
    )
    assert.deepEqual(Object.values(codesByPath(identical)), ['FORBIDDEN'])
  })

  it('is too large to be looked into above 4 MiB of what is left, and says what takes all of it', async () => {
    const id = idOf('one', 'huge')
    const answer = await asHolderOf('read')(`{ s: snapshotById(snapshotId: "${id}") { at(pointer: "/n") { raw } } }`)
    assert.deepEqual(Object.values(codesByPath(answer)), ['PAYLOAD_TOO_LARGE'])
    assert.match(answer.errors?.[0]?.message ?? '', /GET …\/payload/)
    assert.doesNotMatch(JSON.stringify(answer), /50000\d\d/)
    assert.equal((await get(`/snapshots/${id}/value?pointer=/n`)).status, 413)
    assert.equal((await get(`/snapshots/${id}/diff?from=${idOf('one', 'free')}`)).status, 413)
    const all = await get(`/snapshots/${id}/payload`)
    assert.equal(all.status, 200)
    assertHidden({}, all)
    const whole = await asHolderOf(
      'read',
      'pii:read',
    )(`{ s: snapshotById(snapshotId: "${id}") { at(pointer: "/n") { raw } } }`)
    assert.deepEqual(whole.data, { s: { at: { raw: '5000000' } } })
  })

  it('is read by a link in parts as far as the maker of the link might', async () => {
    for (const scopes of [['read'], ['read', 'pii:read']] as Scope[][]) {
      const { data } = await asHolderOf(...scopes)<{ s: { download: { url: string } } }>(
        `{ s: snapshotById(snapshotId: "${idOf('one', 'middle')}") { download { url } } }`,
      )
      const [, query] = data.s.download.url.split('?')
      const target = `/snapshots/${idOf('one', 'middle')}/value?${query}&pointer=/secret`
      const answer = await send(server.url, { target })
      assert.deepEqual([answer.status, answer.body.includes(SECRET)], [200, scopes.length > 1])
      const diff = await send(server.url, { target: `/snapshots/${idOf('one', 'middle')}/diff?${query}` })
      assert.equal(diff.status, 401)
    }
  })

  it('is masked by what its policy says now, in parts too', async () => {
    const target = `/snapshots/${idOf('one', 'small')}/value?pointer=`
    const before = await get(target)
    await writeFile(join(tokens.folder, 'policies.json'), JSON.stringify({ secret: ['/open', '/secret'] }))
    await eventually(async () => assert.match((await get(target)).body.toString(), /"open":"\[redacted\]"/))
    assert.notEqual((await get(target)).headers.etag, before.headers.etag)
    const { data } = await asHolderOf('read')(
      `{ s: snapshotById(snapshotId: "${idOf('one', 'small')}") { at(pointer: "/open") { raw } } }`,
    )
    assert.deepEqual(data, { s: { at: { raw: '"[redacted]"' } } })
  })
})
