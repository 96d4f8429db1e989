import assert from 'node:assert/strict'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { getNamedType, isAbstractType, isObjectType } from 'graphql'
import { SignJWT } from 'jose'
import { createToken, formatTokenEntry } from '../../src/auth/tokens.ts'
import { schema } from '../../src/graphql/schema.ts'
import { createLogger } from '../../src/log.ts'
import { eventually, put } from '../support/put.ts'
import { graphqlAt, startServer, type TestServer } from '../support/server.ts'
import { type TestTokens, tokensFor } from '../support/tokens.ts'
import { codesTold, WAYS, watchBy } from '../support/watching.ts'

const SECRET = 'geheimnis'
const STATE = `{"a":1,"secret":"${SECRET}"}`
const FIELDS = `snapshotId runId preview digest sizeBytes payload at { raw childCount } find(text: "${SECRET}") { nodes { excerpt } }
  previous { preview digest } run { latestSnapshot { preview digest payload } stats { totalBytes } } step { snapshot { digest preview } }`
const events = (field: string) => `subscription { ${field} { __typename
  ... on SnapshotCaptured { snapshot { ${FIELDS} } }
  ... on StepUpdated { step { snapshot { digest preview payload } } }
  ... on RunUpdated { run { latestSnapshot { digest preview payload } } } } }`

const SHORT = 'subscription { runEvents(runId: "r") { __typename ... on SnapshotCaptured { snapshot { payload } } } }'
const LINKS = `subscription { runEvents(runId: "r") { __typename
  ... on SnapshotCaptured { snapshot { download { url } } } } }`

describe('whoever watches', () => {
  let tokens: TestTokens
  let server: TestServer
  let policies = ''
  const lines: string[] = []

  before(async () => {
    tokens = await tokensFor(['read', 'pii:read'], ['read', 'write'])
    policies = join(tokens.folder, 'policies.json')
    await writeFile(policies, JSON.stringify({ secret: ['/secret'] }))
    const log = createLogger({ output: { write: (line) => void lines.push(line) } })
    const env = { ...tokens.env, REDACTION_POLICIES_FILE: policies }
    server = await startServer({ env, log, recheckMillis: 0, streams: { keepAliveMillis: 300 } })
    const headers = { authorization: `Bearer ${tokens.token('write')}` }
    await put(server.url, STATE, { runId: 'r', query: 'piiTags=p&redactionPolicy=secret', headers })
    await put(server.url, STATE, { runId: 'r', query: 'piiTags=p&redactionPolicy=none', headers })
    await put(server.url, STATE, { runId: 'other', headers })
  })
  after(async () => {
    await server[Symbol.asyncDispose]()
    await tokens[Symbol.asyncDispose]()
  })

  /** Resolves once the server knows: by what it says of it, as each try with a wrong token counts. */
  async function changeTokens(text: string): Promise<void> {
    lines.length = 0
    await writeFile(tokens.env['AUTH_TOKENS_FILE'] ?? '', text)
    await eventually(async () => {
      await graphqlAt(server.url, tokens.token('read'))('{ __typename }')
      assert.ok(lines.some((line) => line.includes('"audit":"tokens"')))
    })
  }

  it('sees masked what is masked for him, and nothing of what he may not have, by every event and way', async () => {
    for (const way of WAYS) {
      for (const field of ['runEvents(runId: "r")', 'replayRun(runId: "r", maxGapMs: 0)']) {
        const texts: string[] = []
        for (const token of [tokens.token('read'), tokens.token('read', 'pii:read'), tokens.token('read')]) {
          await using watching = await watchBy(way, server.url, events(field), { token })
          await watching.until('CaughtUp')
          texts.push(watching.text())
        }
        const [masked = '', whole = '', again = ''] = texts
        assert.ok(whole.includes(SECRET) && whole.includes('sha256:'), field)
        for (const text of [masked, again]) {
          assert.ok(!text.includes(SECRET) && !text.includes('sha256:'), `${way} ${field} ${text}`)
          assert.match(text, /\[redacted\]/)
          assert.match(text, /FORBIDDEN/)
          assert.match(text, /"preview":null/)
        }
      }
    }
  })

  it('sees at once by what a state is masked now, also where another has seen it before', async () => {
    const token = tokens.token('read')
    const payload = async () => {
      await using watching = await watchBy('SSE', server.url, SHORT, { token })
      await watching.until('CaughtUp')
      return watching.text()
    }
    // Once more: what is told a second time was kept.
    for (let i = 0; i < 2; i++) assert.match(await payload(), /"payload":\{"a":1,"secret":"\[redacted\]"\}/)
    await writeFile(policies, JSON.stringify({ secret: ['/a', '/secret'] }))
    await eventually(async () =>
      assert.match(await payload(), /"payload":\{"a":"\[redacted\]","secret":"\[redacted\]"\}/),
    )
    await using live = await watchBy('SSE', server.url, SHORT, { token })
    await live.until('CaughtUp')
    await writeFile(policies, JSON.stringify({ secret: ['/secret'] }))
    await eventually(async () => assert.match(await payload(), /"payload":\{"a":1,/))
  })

  it('is named in the log for each state and each link that he is given, though others ask for the same', async () => {
    const { token, entry } = createToken('another', ['read'])
    const path = tokens.env['AUTH_TOKENS_FILE'] ?? ''
    await changeTokens(`${await readFile(path, 'utf8')}${formatTokenEntry(entry)}\n`)
    for (const [query, audit] of [
      [SHORT, 'masked'],
      [LINKS, 'link'],
    ] as const) {
      lines.length = 0
      for (const one of [tokens.token('read'), token]) {
        await using watching = await watchBy('SSE', server.url, query, { token: one })
        await watching.until('CaughtUp')
      }
      const told = lines.map((line) => JSON.parse(line)).filter((line) => line.audit === audit)
      assert.deepEqual(new Set(told.map(({ viewer }) => viewer)), new Set(['read', 'another']), audit)
    }
  })

  it('is let in by his token alone, and by read', async () => {
    for (const way of WAYS) {
      for (const [token, expected] of [
        [undefined, 'UNAUTHENTICATED'],
        ['wrong', 'UNAUTHENTICATED'],
        [tokens.token('write'), 'FORBIDDEN'],
        [tokens.token('pii:read'), 'FORBIDDEN'],
      ] as const) {
        await using watching = await watchBy(way, server.url, SHORT, { token })
        const first = await watching.next()
        // A connection that nobody is let in on is closed without a word.
        const code = codesTold(first ? [first] : [])[0]
        assert.equal(code, way === 'WebSocket' && expected === 'UNAUTHENTICATED' ? undefined : expected)
        assert.equal(await watching.next(), undefined)
      }
    }
  })

  it('is cut off before the next event when his token is ended, or may less than before', async () => {
    const path = tokens.env['AUTH_TOKENS_FILE'] ?? ''
    const others = await readFile(path, 'utf8')
    for (const way of WAYS) {
      const { token, entry } = createToken('ending', ['read'])
      for (const [rest, code] of [
        ['', 'UNAUTHENTICATED'],
        [`${formatTokenEntry({ ...entry, scopes: ['write'] })}\n`, 'FORBIDDEN'],
      ] as const) {
        await changeTokens(`${others}${formatTokenEntry(entry)}\n`)
        await using watching = await watchBy(way, server.url, SHORT.replace('"r"', `"${way} ${code}"`), { token })
        await watching.until('CaughtUp')
        await changeTokens(others + rest)
        await put(server.url, '"after"', {
          runId: `${way} ${code}`,
          headers: { authorization: `Bearer ${tokens.token('write')}` },
        })
        const left = await watching.until('never')
        assert.deepEqual(codesTold(left), [code], way)
        assert.ok(!watching.text().includes('after'), way)
      }
    }
  })

  it('could not be told from his answers: no event leads to who asks', () => {
    const seen = new Set<string>()
    const look = (name: string): void => {
      const type = schema.getType(name)
      if (!type || seen.has(name)) return
      seen.add(name)
      if (isAbstractType(type)) for (const one of schema.getPossibleTypes(type)) look(one.name)
      if (isObjectType(type)) for (const field of Object.values(type.getFields())) look(getNamedType(field.type).name)
    }
    look('Subscription')
    assert.ok(seen.has('Snapshot') && !seen.has('Viewer') && !seen.has('Query'))
  })
})

it('a subscription costs what a request does, on a connection too', async () => {
  await using tokens = await tokensFor()
  await using server = await startServer({ env: { ...tokens.env, RATE_LIMIT_PER_MINUTE: '3' } })
  const token = tokens.token('read')
  for (const way of WAYS) {
    const codes: (readonly string[])[] = []
    for (let i = 0; i < 3; i++) {
      await using watching = await watchBy(way, server.url, SHORT, { token })
      codes.push(codesTold(await watching.until('CaughtUp')))
    }
    assert.deepEqual(codes, way === 'SSE' ? [[], [], []] : [['RATE_LIMITED'], ['RATE_LIMITED'], ['RATE_LIMITED']])
  }
  // Each viewer by himself.
  await using other = await watchBy('WebSocket', server.url, SHORT, { token: tokens.token('admin') })
  assert.deepEqual(codesTold(await other.until('CaughtUp')), [])
})

it('where only some operations are trusted, no other is watched by any way', async () => {
  await using tokens = await tokensFor()
  const path = join(tokens.folder, 'documents.json')
  await writeFile(path, JSON.stringify({ watch: SHORT }))
  await using server = await startServer({ env: { TRUSTED_DOCUMENTS_FILE: path } })
  for (const way of WAYS) {
    await using trusted = await watchBy(way, server.url, SHORT)
    assert.deepEqual(codesTold(await trusted.until('CaughtUp')), [], way)
    await using other = await watchBy(way, server.url, SHORT.replace('{ payload }', '{ seq }'))
    assert.deepEqual(codesTold(await other.until('CaughtUp')), ['FORBIDDEN'], way)
  }
})

it('a JWT that ends ends what is watched with it', async () => {
  const secret = '0123456789abcdef0123456789abcdef'
  let now = Date.now()
  const env = { AUTH_MODE: 'jwt', JWT_SECRET: secret, JWT_AUDIENCE: 'statelens' }
  await using server = await startServer({ env, now: () => now, recheckMillis: 0 })
  const sign = (scope: string) =>
    new SignJWT({ sub: 'alice', aud: 'statelens', scope })
      .setProtectedHeader({ alg: 'HS256' })
      .setExpirationTime(Math.floor(now / 1000) + 60)
      .sign(Buffer.from(secret))
  const token = await sign('read')
  for (const way of WAYS) {
    await using watching = await watchBy(way, server.url, SHORT, { token: await sign('read') })
    await watching.until('CaughtUp')
    now += 121_000
    await put(server.url, '1', { runId: 'r', headers: { authorization: `Bearer ${await sign('write')}` } })
    assert.deepEqual(codesTold(await watching.until('never')), ['UNAUTHENTICATED'], way)
  }
  assert.equal((await graphqlAt(server.url, token)('{ __typename }')).status, 401)
})
