import assert from 'node:assert/strict'
import { createHmac, createPublicKey } from 'node:crypto'
import { createServer } from 'node:http'
import { describe, it } from 'node:test'
import { exportJWK, exportSPKI, generateKeyPair, type JWTPayload, SignJWT, UnsecuredJWT } from 'jose'
import { createKeySet } from '../../src/auth/jwks.ts'
import { createJwtCheck, type JwtOptions } from '../../src/auth/jwt.ts'

const NOW = Date.parse('2026-11-26T12:00:00Z')
const SECONDS = NOW / 1000
const SECRET = Buffer.from('0123456789abcdef0123456789abcdef')
const CLAIMS: JWTPayload = {
  sub: 'alice',
  exp: SECONDS + 600,
  iss: 'https://issuer.example',
  aud: 'statelens',
  scope: 'read pii:read other',
}
const ISSUED = { issuer: 'https://issuer.example', audience: 'statelens', scopeClaim: 'scope', now: () => NOW }

const sign = (claims: JWTPayload, header: object = {}, key: CryptoKey | Buffer = SECRET) =>
  new SignJWT(claims).setProtectedHeader({ alg: 'HS256', ...header }).sign(key)

const checkOf = (options: Partial<JwtOptions> = {}) =>
  createJwtCheck({ key: { secret: SECRET }, ...ISSUED, ...options })

describe('a token that an issuer signed', () => {
  it('is good for whom it names, with those of its scopes that are known', async () => {
    const viewer = await checkOf()(await sign(CLAIMS))
    assert.deepEqual(viewer, { name: 'alice', scopes: new Set(['read', 'pii:read']), mode: 'jwt' })
    const listed = await checkOf({ scopeClaim: 'roles' })(await sign({ ...CLAIMS, roles: ['write', 5, 'x'] }))
    assert.deepEqual(listed?.scopes, new Set(['write']))
    for (const scope of [undefined, 5, {}, '']) {
      assert.deepEqual((await checkOf()(await sign({ ...CLAIMS, scope })))?.scopes, new Set(), String(scope))
    }
  })

  it('is refused when it is not of this issuer, not for this server, without an end or a holder, or out of its time', async () => {
    const wrong: JWTPayload[] = [
      { ...CLAIMS, iss: 'https://other.example' },
      { ...CLAIMS, iss: undefined },
      { ...CLAIMS, aud: 'other' },
      { ...CLAIMS, aud: undefined },
      { ...CLAIMS, aud: [] },
      { ...CLAIMS, exp: undefined },
      { ...CLAIMS, sub: undefined },
      { ...CLAIMS, sub: '' },
      { ...CLAIMS, exp: SECONDS - 61 },
      { ...CLAIMS, nbf: SECONDS + 61 },
      { ...CLAIMS, exp: 'never' as unknown as number },
    ]
    for (const claims of wrong) assert.equal(await checkOf()(await sign(claims)), null, JSON.stringify(claims))
  })

  it('is good for 60 seconds more at either end, as clocks differ', async () => {
    for (const claims of [
      { ...CLAIMS, exp: SECONDS - 59 },
      { ...CLAIMS, nbf: SECONDS + 59 },
      { ...CLAIMS, aud: ['x', 'statelens'] },
    ]) {
      assert.equal((await checkOf()(await sign(claims)))?.name, 'alice')
    }
  })

  it('ends at its end, also where it was found good before', async () => {
    let now = NOW
    const check = checkOf({ now: () => now })
    const token = await sign({ ...CLAIMS, exp: SECONDS + 10 })
    assert.equal((await check(token))?.name, 'alice')
    // Known: no promise.
    assert.ok(!(check(token) instanceof Promise))
    now += 71_000
    assert.equal(await check(token), null)
  })

  it('is refused unsigned, signed by somebody else, in another form, or changed', async () => {
    const good = await sign(CLAIMS)
    const [header = '', payload = '', signature = ''] = good.split('.')
    const encode = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url')
    const none = encode({ alg: 'none' })
    const admin = encode({ ...CLAIMS, scope: 'admin' })
    const tokens = [
      new UnsecuredJWT(CLAIMS).encode(),
      `${none}.${payload}.`,
      `${none}.${payload}.${signature}`,
      `${encode({ alg: 'None' })}.${payload}.`,
      `${header}.${admin}.${signature}`,
      `${header}.${payload}`,
      `${header}.${payload}.`,
      `${header}.${payload}.${signature}.${signature}.${signature}`,
      `${header}.${payload}.${signature.slice(0, -1)}`,
      await sign(CLAIMS, {}, Buffer.from('another secret of 32 bytes or so')),
      await sign(CLAIMS, { alg: 'HS256', crit: ['x'], x: 1 }).catch(() => 'x.y.z'),
      `${encode({ alg: 'HS256', crit: ['exp'], exp: 1 })}.${payload}.${signature}`,
      'x',
      '',
      '..',
    ]
    for (const token of tokens) assert.equal(await checkOf()(token), null, token.slice(0, 60))
  })

  it('is refused when a public key is used as a secret, or a secret as a public key', async () => {
    const { publicKey, privateKey } = await generateKeyPair('RS256', { extractable: true })
    const pem = await exportSPKI(publicKey)
    const check = checkOf({ key: { publicKey: createPublicKey(pem) } })
    assert.equal((await check(await sign(CLAIMS, { alg: 'RS256' }, privateKey)))?.name, 'alice')
    assert.equal(await check(await sign(CLAIMS, { alg: 'PS256' }, (await generateKeyPair('PS256')).privateKey)), null)
    for (const secret of [pem, pem.trim(), Buffer.from(pem.replace(/-.*-|\s/g, ''), 'base64')]) {
      const head = Buffer.from('{"alg":"HS256"}').toString('base64url')
      const body = Buffer.from(JSON.stringify(CLAIMS)).toString('base64url')
      const mac = createHmac('sha256', secret).update(`${head}.${body}`).digest('base64url')
      assert.equal(await check(`${head}.${body}.${mac}`), null)
    }
    assert.equal(await checkOf()(await sign(CLAIMS, { alg: 'RS256' }, privateKey)), null)
  })
})

/** The keys of an issuer, on a port of this machine. */
async function serveKeys() {
  const state = { keys: [] as object[], status: 200, asked: 0, location: '' }
  const server = createServer((_request, response) => {
    state.asked++
    if (state.location) response.setHeader('location', state.location)
    response.writeHead(state.status, { 'content-type': 'application/json' }).end(JSON.stringify({ keys: state.keys }))
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as { port: number }
  return {
    state,
    url: `http://127.0.0.1:${port}/jwks`,
    [Symbol.asyncDispose]: () => new Promise<void>((resolve) => server.close(() => resolve()).closeAllConnections()),
  }
}

async function makeKey(kid: string) {
  const { publicKey, privateKey } = await generateKeyPair('ES256', { extractable: true })
  return { jwk: { ...(await exportJWK(publicKey)), kid, alg: 'ES256', use: 'sig' }, kid, privateKey }
}

/** With whatever in its head and its claims, and a signature of the secret. */
function forge(header: string, claims: string, key: string | Buffer = SECRET): string {
  const signed = [header, claims].map((part) => Buffer.from(part).toString('base64url')).join('.')
  return `${signed}.${createHmac('sha256', key).update(signed).digest('base64url')}`
}

describe('a token that is made by hand', () => {
  const claims = JSON.stringify(CLAIMS)

  it('is good only in the one form that there is', async () => {
    assert.equal((await checkOf()(forge('{"alg":"HS256"}', claims)))?.name, 'alice')
    const heads = [
      '{"alg":"hs256"}',
      '{"alg":["HS256"]}',
      '{"alg":"HS256","alg":"none"}',
      '{"alg":"none","typ":"JWT"}',
      '{"alg":"HS256","b64":false,"crit":["b64"]}',
      '{"alg":"HS256","crit":[]}',
      '{"alg":"HS256","enc":"A128GCM","crit":["enc"]}',
      '{"typ":"JWT"}',
      '[]',
      'null',
      '',
    ]
    for (const head of heads) assert.equal(await checkOf()(forge(head, claims)), null, head)
    for (const wrong of [
      '',
      'null',
      '[]',
      '"alice"',
      `${claims},`,
      '{"sub":"alice","exp":1e99,',
      '{"__proto__":{"sub":"alice"}}',
    ])
      assert.equal(await checkOf()(forge('{"alg":"HS256"}', wrong)), null, wrong)
    const good = forge('{"alg":"HS256"}', claims)
    for (const wrong of [`${good}=`, good.replace('.', '..'), ` ${good}`, `${good}\n`, good.replace(/-|_/g, '+')])
      assert.ok(wrong === good || (await checkOf()(wrong)) === null, wrong)
  })

  it('is refused with claims of other kinds, and takes none of its rights from elsewhere', async () => {
    const wrong = [
      { sub: ['alice'] },
      { sub: 5 },
      { sub: null },
      { exp: '9999999999' },
      { exp: null },
      { nbf: '0' },
      { iss: ['https://issuer.example'] },
      { iss: 'https://issuer.example/' },
      { aud: 'STATELENS' },
      { aud: [['statelens']] },
      { aud: { statelens: true } },
    ]
    for (const one of wrong)
      assert.equal(
        await checkOf()(forge('{"alg":"HS256"}', JSON.stringify({ ...CLAIMS, ...one }))),
        null,
        JSON.stringify(one),
      )
    for (const one of [
      { scope: undefined, scopes: 'admin' },
      { scope: 'ADMIN' },
      { scope: { admin: true } },
      { scope: 'read,admin' },
    ]) {
      const viewer = await checkOf()(forge('{"alg":"HS256"}', JSON.stringify({ ...CLAIMS, ...one })))
      assert.deepEqual(viewer?.scopes, new Set(), JSON.stringify(one))
    }
  })
})

describe("an issuer's keys", () => {
  function opened(url: string) {
    const clock = { millis: 0 }
    const problems: unknown[] = []
    const keySet = createKeySet({ url, onProblem: (error) => problems.push(error), now: () => clock.millis })
    // Nothing that was found good is remembered here: each token is checked anew.
    const check = async (token: string) => await checkOf({ key: { keySet } })(token)
    return { clock, problems, check }
  }
  const signBy = ({ kid, privateKey }: Awaited<ReturnType<typeof makeKey>>, header = {}) =>
    sign(CLAIMS, { alg: 'ES256', kid, ...header }, privateKey)

  it('are fetched once, and anew for a key that is not known, but not for every such token', async () => {
    await using issuer = await serveKeys()
    const [first, second] = [await makeKey('one'), await makeKey('two')]
    issuer.state.keys = [first.jwk]
    const { clock, check } = opened(issuer.url)
    for (let i = 0; i < 5; i++) assert.equal((await check(await signBy(first)))?.name, 'alice')
    assert.equal(issuer.state.asked, 1)
    issuer.state.keys = [second.jwk]
    clock.millis += 11_000
    assert.equal((await check(await signBy(second)))?.name, 'alice')
    assert.equal(issuer.state.asked, 2)
    // The old one was taken back with that.
    assert.equal(await check(await signBy(first)), null)
    for (let i = 0; i < 20; i++) assert.equal(await check(await signBy(first, { kid: `unknown ${i}` })), null)
    assert.equal(issuer.state.asked, 2)
  })

  it('are good for a day while the issuer cannot be asked, and are then an outage and no refusal', async () => {
    await using issuer = await serveKeys()
    const key = await makeKey('one')
    issuer.state.keys = [key.jwk]
    const { clock, check, problems } = opened(issuer.url)
    assert.equal((await check(await signBy(key)))?.name, 'alice')
    issuer.state.status = 500
    clock.millis += 3_600_000
    assert.equal((await check(await signBy(key)))?.name, 'alice')
    assert.equal(await check(await signBy(key, { kid: 'another' })), null)
    clock.millis += 90_000_000
    await assert.rejects(check(await signBy(key)), { code: 'OVERLOADED' })
    assert.ok(problems.length > 0)
    issuer.state.status = 200
    clock.millis += 11_000
    assert.equal((await check(await signBy(key)))?.name, 'alice')
  })

  it('are told apart by their names and kinds, and none of them is a secret', async () => {
    await using issuer = await serveKeys()
    const [one, two] = [await makeKey('one'), await makeKey('two')]
    const { use: _use, ...forEncryption } = one.jwk
    issuer.state.keys = [one.jwk, two.jwk, { ...forEncryption, kid: 'enc', use: 'enc' }]
    const { check } = opened(issuer.url)
    assert.equal((await check(await signBy(two)))?.name, 'alice')
    // By the name of the other, of one for something else, and of none where there are several.
    for (const kid of ['one', 'enc', undefined, '__proto__', 'constructor', 'two\u0000', "two' or '1'='1"])
      assert.equal(await check(await signBy(two, { kid })), null, kid)
    const claims = JSON.stringify(CLAIMS)
    for (const kid of ['"one"', '5', 'null', '["one"]', '{}']) {
      for (const secret of [
        String(one.jwk.x),
        JSON.stringify(one.jwk),
        Buffer.from(String(one.jwk.x), 'base64url'),
        '',
      ]) {
        assert.equal(await check(forge(`{"alg":"HS256","kid":${kid}}`, claims, secret)), null, kid)
        assert.equal(await check(forge(`{"alg":"ES256","kid":${kid}}`, claims, secret)), null, kid)
      }
    }
  })

  it('are taken from the URL alone: from no redirect, no token, and no key that is a secret', async () => {
    await using issuer = await serveKeys()
    await using elsewhere = await serveKeys()
    const key = await makeKey('one')
    elsewhere.state.keys = [key.jwk]
    issuer.state.keys = [{ kty: 'oct', k: SECRET.toString('base64url'), kid: 'secret' }]
    const { clock, check } = opened(issuer.url)
    const tricks = [
      { jku: elsewhere.url },
      { jwk: key.jwk },
      { x5u: elsewhere.url },
      { kid: '../../etc/passwd' },
      { kid: '' },
    ]
    for (const trick of tricks) assert.equal(await check(await signBy(key, trick)), null, JSON.stringify(trick))
    assert.equal(await check(await sign(CLAIMS, { kid: 'secret' })), null)
    issuer.state.status = 302
    issuer.state.location = elsewhere.url
    clock.millis += 90_000_000
    await assert.rejects(check(await signBy(key)), { code: 'OVERLOADED' })
    assert.equal(elsewhere.state.asked, 0)
  })
})
