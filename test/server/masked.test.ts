import assert from 'node:assert/strict'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import type { Scope } from '../../src/auth/scopes.ts'
import { createLogger } from '../../src/log.ts'
import { codesOf, type PlainResponse, send } from '../support/http.ts'
import { eventually, put, storedOf } from '../support/put.ts'
import { graphqlAt, startServer, type TestServer } from '../support/server.ts'
import { type TestTokens, tokensFor } from '../support/tokens.ts'

/** None of it may be in an answer to whoever may not have it, nor in the log. */
const CANARY = 'kanarienvogel'
const POLICIES = { contact: ['/customer/email', '/notes/*/text', '/secret'], all: [''], gone: ['/nothing'] }

/** A state, and what is left of it. */
function stateOf(fillBytes: number): { readonly text: string; readonly masked: string } {
  const make = (hidden: (text: string) => string) =>
    `{ "customer" : {"name":"A", "email": ${hidden(`"${CANARY}@example.com"`)}, "n": 1.0},\n "fill": "${'x'.repeat(fillBytes)}",
    "notes":[{"text":${hidden(`{"${CANARY}": [1, "${CANARY}"]}`)}},{"t\\u0065xt":${hidden(`"\\u006b${CANARY.slice(1)}"`)}}, 3],
    "secret":${hidden(`"${CANARY}"`)},"\\u0073ecret":${hidden('1234567')}, "e": 1e400 }`
  return { text: make((text) => text), masked: make(() => '"[redacted]"') }
}

const SMALL = stateOf(10)
const LARGE = stateOf(3_000_000)
/** Above what one reading of the body's head holds. */
const MIDDLE = stateOf(200_000)

interface Kept {
  readonly runId: string
  readonly snapshotId: string
  readonly text: string
  readonly masked: string
}

describe('a state with personal data', () => {
  let tokens: TestTokens
  let server: TestServer
  const lines: string[] = []
  const states: Kept[] = []
  let refused: Kept[] = []

  async function keep(runId: string, query: string, { text, masked }: typeof SMALL): Promise<Kept> {
    const headers = { authorization: `Bearer ${tokens.token('write')}` }
    const { snapshotId } = storedOf(await put(server.url, text, { runId, query, headers }))
    return { runId, snapshotId, text, masked }
  }

  before(async () => {
    tokens = await tokensFor(['read', 'pii:read'])
    const policies = join(tokens.folder, 'policies.json')
    await writeFile(policies, JSON.stringify(POLICIES))
    const log = createLogger({ output: { write: (line) => void lines.push(line) } })
    server = await startServer({ env: { ...tokens.env, REDACTION_POLICIES_FILE: policies }, log })
    const tagged = 'piiTags=email&redactionPolicy='
    states.push(await keep('small', `${tagged}contact`, SMALL))
    states.push(await keep('middle', `${tagged}contact`, MIDDLE))
    states.push(await keep('large', `${tagged}contact`, LARGE))
    states.push(await keep('all', `${tagged}all`, { text: ` ${LARGE.text} `, masked: ' "[redacted]" ' }))
    refused = [await keep('unknown', `${tagged}nobody`, SMALL), await keep('none', 'piiTags=email', LARGE)]
  })
  after(async () => {
    await server[Symbol.asyncDispose]()
    await tokens[Symbol.asyncDispose]()
  })

  const asHolderOf = (...scopes: Scope[]) => graphqlAt(server.url, tokens.token(...scopes))
  const get = (
    target: string,
    headers: Record<string, string> = {},
    scopes: Scope[] = ['read'],
  ): Promise<PlainResponse> =>
    send(server.url, { target, headers: { ...headers, authorization: `Bearer ${tokens.token(...scopes)}` } })
  const payloadOf = ({ snapshotId }: Kept) => `/snapshots/${snapshotId}/payload`

  function assertHidden({ headers, body }: PlainResponse): void {
    assert.ok(!body.includes(CANARY) && !body.includes('1234567'))
    assert.doesNotMatch(JSON.stringify(headers), /kanarienvogel|sha256/i)
  }

  /** The text of the one field in an answer, as it stands there. */
  async function payloadText(kept: Kept, args = '', scopes: Scope[] = ['read']): Promise<string> {
    const query = `{ s: snapshotById(snapshotId: "${kept.snapshotId}") { payload${args} } }`
    const answer = await send(server.url, {
      method: 'POST',
      target: '/graphql',
      headers: { 'content-type': 'application/json', authorization: `Bearer ${tokens.token(...scopes)}` },
      body: JSON.stringify({ query }),
    })
    const text = answer.body.toString()
    if (text.includes('"errors"')) return codesOf(answer).join()
    assert.equal(answer.headers['content-length'], String(answer.body.length))
    return text.slice('{"data":{"s":{"payload":'.length, -'}}}'.length)
  }

  it('is masked where its policy is known, byte for byte outside of it, at any size and by every way', async () => {
    for (const kept of states) {
      const answer = await get(payloadOf(kept))
      assert.deepEqual([answer.status, answer.body.toString() === kept.masked], [200, true], kept.runId)
      assert.equal(answer.headers['accept-ranges'], 'none')
      assertHidden(answer)
      assert.ok((await payloadText(kept)) === kept.masked, kept.runId)
      // Counted before, and now known.
      assert.ok((await payloadText(kept)) === kept.masked, kept.runId)
    }
  })

  it('is whole for whoever may read it, with its size, its digest and its parts', async () => {
    for (const kept of [...states, ...refused]) {
      const answer = await get(payloadOf(kept), {}, ['read', 'pii:read'])
      assert.ok(answer.body.toString() === kept.text)
      assert.equal(answer.headers['content-length'], String(kept.text.length))
      assert.ok((await payloadText(kept, '', ['read', 'pii:read'])) === kept.text)
      const part = await get(payloadOf(kept), { range: 'bytes=3-5' }, ['read', 'pii:read'])
      assert.deepEqual([part.status, part.body.toString()], [206, kept.text.slice(3, 6)])
    }
  })

  it('is refused where no policy is known, by every way', async () => {
    for (const kept of refused) {
      const answer = await get(payloadOf(kept))
      assert.deepEqual([answer.status, JSON.parse(answer.body.toString()).code], [403, 'FORBIDDEN'])
      assertHidden(answer)
      assert.equal(await payloadText(kept), 'FORBIDDEN')
      const { data, errors } = await asHolderOf('read')(
        `{ s: snapshotById(snapshotId: "${kept.snapshotId}") { preview digest sizeBytes piiTags signedUrl download { url } } }`,
      )
      assert.deepEqual(data, {
        s: { preview: null, digest: null, sizeBytes: null, piiTags: ['email'], signedUrl: null, download: null },
      })
      assert.ok(errors?.every(({ extensions }) => extensions.code === 'FORBIDDEN'))
    }
  })

  it('shows nothing of itself by its size, digest, preview or sums, wherever it is selected', async () => {
    const fields = 'preview digest digestOf sizeBytes payload'
    const places = states.map(({ runId, snapshotId }) => [
      `{ s: snapshotById(snapshotId: "${snapshotId}") { ${fields} } }`,
      `{ s: snapshot(runId: "${runId}", stepId: "step") { ${fields} } }`,
      `{ run(runId: "${runId}") { latestSnapshot { ${fields} previous { ${fields} } } stateAt(seq: 999) { ${fields} }
        snapshots { nodes { ${fields} next { ${fields} } } edges { node { ${fields} } } }
        steps { nodes { snapshot { ${fields} } snapshots { nodes { ${fields} } } } } } }`,
      `{ step(runId: "${runId}", stepId: "step") { snapshot { ${fields} } } }`,
      `{ runs { nodes { steps { nodes { snapshot { preview digest sizeBytes } } } } } }`,
      `{ _entities(representations: [{__typename: "Snapshot", snapshotId: "${snapshotId}"}]) { ... on Snapshot { ${fields} } } }`,
    ])
    for (const query of places.flat()) {
      const { status, data, errors } = await asHolderOf('read')(query)
      const text = JSON.stringify(data)
      assert.deepEqual([status, errors], [200, undefined], query)
      assert.ok(!text.includes(CANARY) && !text.includes('1234567') && !text.includes('sha256:'), query)
      assert.doesNotMatch(text, /"sizeBytes":\d|"sizeBytes":"/)
      assert.match(text, /\[redacted\]/)
    }
    const [small] = states
    const { data } = await asHolderOf('read')<{ s: { preview: string } }>(
      `{ s: snapshotById(snapshotId: "${small?.snapshotId}") { preview } }`,
    )
    // Up to the first place that is masked: how far it goes tells nothing.
    assert.equal(data.s.preview, '{ "customer" : {"name":"A", "email": "[redacted]"…')
    const stats = await asHolderOf('read')('{ run(runId: "large") { stats { snapshotCount totalBytes } } }')
    assert.deepEqual(stats.data, { run: { stats: { snapshotCount: 1, totalBytes: 0 } } })
    const whole = await asHolderOf('read', 'pii:read')('{ run(runId: "large") { stats { totalBytes } } }')
    assert.deepEqual(whole.data, { run: { stats: { totalBytes: LARGE.text.length } } })
  })

  it('is within a limit by what is left of it, and not by what it is', async () => {
    for (const kept of [states[0], states[2], states[3]] as Kept[]) {
      const [exact, less] = [kept.masked.length, kept.masked.length - 1]
      assert.equal(await payloadText(kept, `(maxBytes: ${less})`), 'PAYLOAD_TOO_LARGE')
      assert.ok((await payloadText(kept, `(maxBytes: ${exact})`)) === kept.masked)
    }
  })

  it('has a tag of its own, and neither parts nor a coding', async () => {
    for (const kept of states) {
      const masked = await get(payloadOf(kept))
      const whole = await get(payloadOf(kept), {}, ['read', 'pii:read'])
      const tag = String(masked.headers.etag)
      assert.notEqual(tag, whole.headers.etag)
      assert.equal((await get(payloadOf(kept), { 'if-none-match': tag })).status, 304)
      assert.equal((await get(payloadOf(kept), { 'if-none-match': String(whole.headers.etag) })).status, 200)
      assert.equal((await get(payloadOf(kept), { 'if-match': String(whole.headers.etag) })).status, 412)
      const part = await get(payloadOf(kept), { range: 'bytes=0-9', 'if-range': tag })
      assert.deepEqual([part.status, part.body.toString() === kept.masked], [200, true])
      const coded = await get(payloadOf(kept), { 'accept-encoding': 'gzip, zstd' })
      assert.equal(coded.headers['content-encoding'], undefined)
      const head = await send(server.url, {
        method: 'HEAD',
        target: payloadOf(kept),
        headers: { authorization: `Bearer ${tokens.token('read')}` },
      })
      assert.deepEqual([head.status, head.headers['content-length']], [200, undefined])
    }
  })

  it('is never kept where others would find it: who may read it whole gets it whole afterwards, and the other way round', async () => {
    const [kept] = states.slice(2)
    assert.ok(kept)
    for (const scopes of [['read'], ['read', 'pii:read'], ['read'], ['read', 'pii:read']] as Scope[][]) {
      const answers = await Promise.all(Array.from({ length: 4 }, () => get(payloadOf(kept), {}, scopes)))
      const expected = scopes.length === 1 ? kept.masked : kept.text
      assert.ok(answers.every(({ body }) => body.toString() === expected))
    }
    const mixed = await Promise.all([
      get(payloadOf(kept)),
      get(payloadOf(kept), {}, ['read', 'pii:read']),
      get(payloadOf(kept)),
    ])
    assert.deepEqual(
      mixed.map(({ body }) => body.toString() === kept.masked),
      [true, false, true],
    )
  })

  it('goes by a link as far as the maker of the link might read, whoever holds it', async () => {
    const link = async (kept: Kept, scopes: Scope[]) => {
      const query = `{ s: snapshotById(snapshotId: "${kept.snapshotId}") { signedUrl download { url direct sizeBytes digest } } }`
      const { data, errors } = await asHolderOf(...scopes)<{
        s: { signedUrl: string | null; download: { url: string; direct: boolean; sizeBytes: unknown; digest: unknown } }
      }>(query)
      assert.equal(errors, undefined)
      return data.s
    }
    for (const kept of states) {
      const masked = await link(kept, ['read'])
      assert.deepEqual([masked.download.direct, masked.download.sizeBytes, masked.download.digest], [false, null, null])
      for (const url of [masked.download.url, masked.signedUrl]) {
        if (url === null) continue
        const target = url.slice(server.url.length)
        const answer = await send(server.url, { target })
        assert.deepEqual([answer.status, answer.body.toString() === kept.masked], [200, true])
        assertHidden(answer)
        // Whoever holds it cannot make more of it, not even one who may have all.
        const more = await send(server.url, { target: target.replace('&access=masked', '') })
        assert.deepEqual([more.status, JSON.parse(more.body.toString()).code], [403, 'LINK_INVALID'])
        const authorization = `Bearer ${tokens.token('read', 'pii:read')}`
        const same = await send(server.url, { target, headers: { authorization } })
        assert.ok(same.body.toString() === kept.masked)
      }
      const whole = await link(kept, ['read', 'pii:read'])
      const answer = await send(server.url, { target: whole.download.url.slice(server.url.length) })
      assert.ok(answer.body.toString() === kept.text)
      const less = await send(server.url, {
        target: whole.download.url.slice(server.url.length).replace('&sig=', '&access=masked&sig='),
      })
      assert.equal(less.status, 403)
    }
  })

  it('is not to be had by who knows its digest and size, under another name', async () => {
    const [, , kept] = states
    const { data } = await asHolderOf(
      'read',
      'pii:read',
    )<{ s: { digest: string; sizeBytes: number } }>(
      `{ s: snapshotById(snapshotId: "${kept?.snapshotId}") { digest sizeBytes } }`,
    )
    const begun = await asHolderOf('write')<{ beginSnapshotUpload: { alreadyStored: boolean } }>(
      `mutation { beginSnapshotUpload(input: {runId: "other", digest: "${data.s.digest}", sizeBytes: ${data.s.sizeBytes}}) { alreadyStored } }`,
    )
    assert.deepEqual(begun.data, { beginSnapshotUpload: { alreadyStored: false } })
  })

  it('is told of in the log where it was masked, denied, linked to or deleted, by whom, and never what it holds', async () => {
    const [kept] = states
    const [denied] = refused
    assert.ok(kept && denied)
    lines.length = 0
    await get(payloadOf(kept))
    await get(payloadOf(denied))
    await asHolderOf('read')(`{ snapshotById(snapshotId: "${kept.snapshotId}") { download { url } } }`)
    await asHolderOf('delete')(`mutation { deleteRun(runId: "nobody") { deleted } }`)
    await eventually(async () => assert.equal(lines.filter((line) => line.includes('"msg":"request"')).length, 4))
    const audits = lines.map((line) => JSON.parse(line)).filter(({ msg }) => msg === 'audit')
    assert.deepEqual(
      audits.map(({ audit, viewer, snapshotId, policy }) => [audit, viewer, snapshotId, policy]),
      [
        ['masked', 'read', kept.snapshotId, 'contact'],
        ['denied', 'read', denied.snapshotId, undefined],
        ['link', 'read', kept.snapshotId, undefined],
        ['deleted', 'delete', undefined, undefined],
      ],
    )
    const log = lines.join('')
    for (const secret of [CANARY, tokens.token('read'), 'sig=', 'Bearer']) assert.ok(!log.includes(secret), secret)
    assert.match(log, /"viewer":"read"/)
  })

  it('is masked by what its policy says now', async () => {
    const [kept] = states
    assert.ok(kept)
    const before = (await get(payloadOf(kept))).headers.etag
    await writeFile(join(tokens.folder, 'policies.json'), JSON.stringify({ ...POLICIES, contact: ['/customer'] }))
    await eventually(async () => {
      const answer = await get(payloadOf(kept))
      assert.match(answer.body.toString(), /^\{ "customer" : "\[redacted\]",/)
      assert.notEqual(answer.headers.etag, before)
    })
    // What cannot be understood masks nothing, so whoever names it is refused.
    await writeFile(join(tokens.folder, 'policies.json'), '{"contact": ["customer"]}')
    await eventually(async () => assert.equal((await get(payloadOf(kept))).status, 403))
    assert.match(lines.join(''), /REDACTION_POLICIES_FILE/)
  })
})
