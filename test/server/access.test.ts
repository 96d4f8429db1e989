import assert from 'node:assert/strict'
import { appendFile, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { SignJWT, UnsecuredJWT } from 'jose'
import { SCOPES } from '../../src/auth/scopes.ts'
import { createToken, formatTokenEntry } from '../../src/auth/tokens.ts'
import { createClient } from '../../src/client/client.ts'
import { ConfigError } from '../../src/config.ts'
import { send } from '../support/http.ts'
import { eventually, put, storedOf } from '../support/put.ts'
import { graphqlAt, startServer, type TestServer } from '../support/server.ts'
import { temporaryFolder } from '../support/tmp.ts'
import { type TestTokens, tokensFor } from '../support/tokens.ts'
import { watchBy } from '../support/watching.ts'

describe('a server that asks for a token', () => {
  let tokens: TestTokens
  let server: TestServer
  let snapshotId = ''

  before(async () => {
    tokens = await tokensFor(['read', 'write'])
    server = await startServer({ env: tokens.env })
    const authorization = `Bearer ${tokens.token('write')}`
    snapshotId = storedOf(await put(server.url, '{"a":1}', { headers: { authorization } })).snapshotId
  })
  after(async () => {
    await server[Symbol.asyncDispose]()
    await tokens[Symbol.asyncDispose]()
  })

  it('says beside a refusal what was wrong with the token', async () => {
    const target = `/snapshots/${snapshotId}/payload`
    const ask = async (authorization: string) => {
      const { status, headers, body } = await send(server.url, { target, headers: { authorization } })
      return [status, headers['www-authenticate'], JSON.parse(body.toString()).code]
    }
    const invalid = [401, 'Bearer realm="statelens", error="invalid_token"', 'UNAUTHENTICATED']
    const token = tokens.token('read')
    for (const wrong of [
      `Bearer ${token}x`,
      `Bearer ${token.slice(0, -1)}`,
      'Bearer ',
      'Bearer',
      `Basic ${token}`,
      token,
      'Bearer a b',
    ]) {
      assert.deepEqual(await ask(wrong), invalid, wrong)
    }
    assert.deepEqual(await ask(`Bearer ${tokens.token('write')}`), [
      403,
      'Bearer realm="statelens", error="insufficient_scope"',
      'FORBIDDEN',
    ])
    const { status } = await send(server.url, { target, headers: { authorization: `bearer  ${token}` } })
    assert.equal(status, 200)
  })

  it('takes no token from where logs and browsers keep it', async () => {
    const token = tokens.token('read')
    for (const target of [
      `/graphql?query={__typename}&access_token=${token}`,
      `/snapshots/${snapshotId}/payload?token=${token}`,
    ]) {
      assert.notEqual((await send(server.url, { target })).status, 200)
    }
    assert.equal(
      (await send(server.url, { target: '/graphql?query={__typename}', headers: { cookie: `token=${token}` } })).status,
      401,
    )
  })

  it('knows who asks, and how', async () => {
    const { data } = await graphqlAt(server.url, tokens.token('read', 'write'))('{ viewer { name scopes mode } }')
    assert.deepEqual(data, { viewer: { name: 'read+write', scopes: ['read', 'write'], mode: 'TOKEN' } })
    const admin = await graphqlAt(server.url, tokens.token('admin'))('{ viewer { scopes } }')
    assert.deepEqual(admin.data, { viewer: { scopes: [...SCOPES] } })
  })

  it('shows where a state lies to whom that is open, and null to the others', async () => {
    const query = `{ snapshotById(snapshotId: "${snapshotId}") { storageUri storageTier } }`
    const { data } = await graphqlAt(server.url, tokens.token('read'))(query)
    assert.deepEqual(data, { snapshotById: { storageUri: null, storageTier: 'INLINE' } })
  })

  it('hears of a token that was made or ended, within seconds and without a restart', async () => {
    const path = tokens.env['AUTH_TOKENS_FILE'] ?? ''
    const before = await readFile(path, 'utf8')
    const { token, entry } = createToken('late', ['read'])
    const status = async () => (await graphqlAt(server.url, token)('{ __typename }')).status
    assert.equal(await status(), 401)
    await appendFile(path, `${formatTokenEntry(entry)}\n`)
    await eventually(async () => assert.equal(await status(), 200))
    await writeFile(path, before)
    await eventually(async () => assert.equal(await status(), 401))
  })

  it('answers who tries token after token that it is too much, and lets a good one in all the while', async () => {
    const target = '/graphql?query={__typename}'
    const tries = Array.from({ length: 60 }, (_, i) =>
      send(server.url, { target, headers: { authorization: `Bearer no${i}` } }),
    )
    const answers = await Promise.all(tries)
    const limited = answers.filter(({ status }) => status === 429)
    assert.ok(limited.length > 10, `${limited.length} of 60`)
    assert.ok(limited.every(({ headers }) => headers['retry-after'] !== undefined))
    const good = { target, headers: { authorization: `Bearer ${tokens.token('read')}` } }
    assert.equal((await send(server.url, good)).status, 200)
  })
})

it('a server that asks nobody has a viewer who may do all', async () => {
  await using server = await startServer()
  const { data } = await server.graphql('{ viewer { name scopes mode } }')
  assert.deepEqual(data, { viewer: { name: null, scopes: [...SCOPES], mode: 'NONE' } })
  // What it does not ask for it does not look at.
  const { status } = await send(server.url, {
    target: '/graphql?query={__typename}',
    headers: { authorization: 'Bearer x' },
  })
  assert.equal(status, 200)
})

it('a server whose files cannot be understood does not start, and says all that is wrong with them', async () => {
  await using folder = await temporaryFolder()
  const path = (name: string) => join(folder.path, name)
  await writeFile(path('tokens'), 'canary read sha256:canary\n')
  await writeFile(path('policies'), '{"p": ["canary"]}')
  await writeFile(path('documents'), '[]')
  await writeFile(path('key'), '-----BEGIN PRIVATE KEY-----\ncanary\n-----END PRIVATE KEY-----\n')
  const files = { REDACTION_POLICIES_FILE: path('policies'), TRUSTED_DOCUMENTS_FILE: path('documents') }
  const ways = [
    [{ AUTH_MODE: 'token', AUTH_TOKENS_FILE: path('tokens') }, /AUTH_TOKENS_FILE line 1/],
    [{ AUTH_MODE: 'token', AUTH_TOKENS_FILE: path('none') }, /AUTH_TOKENS_FILE cannot be read/],
    [{ AUTH_MODE: 'jwt', JWT_PUBLIC_KEY_FILE: path('key') }, /JWT_PUBLIC_KEY_FILE is no public key/],
  ] as const
  for (const [env, expected] of ways) {
    await assert.rejects(startServer({ env: { ...files, ...env } }), (error) => {
      assert.ok(error instanceof ConfigError)
      assert.equal(error.problems.length, 3)
      for (const one of [expected, /REDACTION_POLICIES_FILE has a policy "p"/, /TRUSTED_DOCUMENTS_FILE is no JSON/]) {
        assert.ok(
          error.problems.some((problem) => one.test(problem)),
          String(one),
        )
      }
      assert.doesNotMatch(error.message, /canary/)
      return true
    })
  }
})

it('a server that asks for a JWT takes one of its issuer, and no other', async () => {
  const secret = '0123456789abcdef0123456789abcdef'
  await using server = await startServer({ env: { AUTH_MODE: 'jwt', JWT_SECRET: secret, JWT_AUDIENCE: 'statelens' } })
  const sign = (key: string) =>
    new SignJWT({ sub: 'alice', aud: 'statelens', scope: 'read' })
      .setProtectedHeader({ alg: 'HS256' })
      .setExpirationTime('1m')
      .sign(Buffer.from(key))
  const query = '{ viewer { name scopes mode } }'
  // The first time and later.
  for (let i = 0; i < 2; i++) {
    const { data } = await graphqlAt(server.url, await sign(secret))(query)
    assert.deepEqual(data, { viewer: { name: 'alice', scopes: ['read'], mode: 'JWT' } })
  }
  const wrong = [
    await sign('another'.repeat(8)),
    new UnsecuredJWT({ sub: 'alice', aud: 'statelens', scope: 'admin' }).setExpirationTime('1m').encode(),
    ...(await Promise.all(
      [
        { aud: 'other' },
        { aud: undefined },
        { sub: undefined },
        { exp: undefined },
        { exp: 1 },
        { nbf: 9_999_999_999 },
      ].map((claims) =>
        new SignJWT({
          sub: 'alice',
          aud: 'statelens',
          scope: 'read',
          exp: Math.floor(Date.now() / 1000) + 60,
          ...claims,
        })
          .setProtectedHeader({ alg: 'HS256' })
          .sign(Buffer.from(secret)),
      ),
    )),
  ]
  for (const token of wrong) {
    assert.equal((await graphqlAt(server.url, token)(query)).status, 401, token)
    await using watching = await watchBy('WebSocket', server.url, 'subscription { runsUpdated { __typename } }', {
      token,
    })
    assert.equal(await watching.next(), undefined)
  }
})

it('the client for producers needs no more than to write', async () => {
  await using tokens = await tokensFor()
  await using server = await startServer({ env: tokens.env })
  const clientOf = (token: string) => createClient({ url: server.url, token, retries: 0, directMinBytes: 100_000 })
  const client = clientOf(tokens.token('write'))
  await client.upsertRun({ runId: 'run', status: 'RUNNING' })
  await client.upsertStep({ runId: 'run', stepId: 'step', status: 'RUNNING' })
  for (const size of [10, 300_000]) {
    const { created } = await client.capture({ runId: 'run', stepId: 'step' }, { value: 'x'.repeat(size) })
    assert.equal(created, true)
  }
  const refused = clientOf(tokens.token('read')).upsertRun({ runId: 'run' })
  await assert.rejects(refused, { code: 'FORBIDDEN' })
  await assert.rejects(clientOf('wrong').upsertRun({ runId: 'run' }), { code: 'UNAUTHENTICATED' })
})
