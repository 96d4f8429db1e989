import assert from 'node:assert/strict'
import { readFile, writeFile } from 'node:fs/promises'
import { availableParallelism } from 'node:os'
import { join, resolve } from 'node:path'
import { describe, it } from 'node:test'
import { ConfigError, type ObjectStoreConfig, readConfig, unknownSettings } from '../src/config.ts'
import { isAppError } from '../src/errors.ts'
import { parseStorageUri } from '../src/storage/uri.ts'
import { temporaryFolder } from './support/tmp.ts'

type Env = Readonly<Record<string, string>>

/** Names of the settings that the problems are about, in the order told. */
function problemsOf(env: Env): readonly string[] {
  try {
    readConfig(env)
    return []
  } catch (error) {
    assert.ok(error instanceof ConfigError)
    for (const problem of error.problems) assert.ok(error.message.includes(problem))
    return error.problems
  }
}

function assertRefused(name: string, values: readonly string[], others: Env = {}): void {
  for (const value of values) {
    const problems = problemsOf({ ...others, [name]: value })
    assert.equal(problems.length, 1, `${name}=${value}: ${problems.join('; ')}`)
    assert.ok(problems[0]?.includes(name), problems[0])
    if (value.length > 8) assert.ok(!problems[0]?.includes(value), problems[0])
  }
}

describe('settings', () => {
  it('have these defaults', () => {
    assert.deepEqual(readConfig({}), {
      port: 4000,
      host: '127.0.0.1',
      authMode: 'none',
      authTokensFile: undefined,
      jwt: undefined,
      redactionPoliciesFile: undefined,
      trustedDocumentsFile: undefined,
      rateLimitPerMinute: 0,
      retentionDays: undefined,
      retentionMaxPercent: 20,
      publicUrl: undefined,
      corsOrigins: [],
      databaseUrl: undefined,
      databaseReadUrl: undefined,
      databaseReadLagMaxSeconds: 30,
      databaseConnectionsMax: 10,
      workers: 1,
      valkeyUrl: undefined,
      valkeyCluster: false,
      dataDir: resolve('.statelens'),
      storageBackend: 'filesystem',
      storagePath: resolve('.statelens/snapshots'),
      inlineMaxBytes: 1_048_576,
      cacheTtlSeconds: 3600,
      payloadMaxBytes: 67_108_864,
      payloadStreamsMax: 64,
      uploadStreamsMax: 24,
      payloadMemoryMaxBytes: 67_108_864,
      eventStreamsMax: 1500,
      eventStreamsPerViewerMax: 50,
      transferMinBytesPerSecond: 65_536,
      keepAliveSeconds: 75,
      queryLimits: {},
      drainDelaySeconds: 5,
      s3: undefined,
      minio: undefined,
      allowedBuckets: undefined,
      signedUrlSecrets: [],
      signedUrlMaxSeconds: 86_400,
      graphiql: true,
      explorer: true,
      introspection: true,
      logLevel: 'info',
      logRequests: true,
    })
  })

  it('cannot be changed once they are read', () => {
    assert.ok(Object.isFrozen(readConfig({})))
  })

  it('are not set when they are empty or blank', () => {
    const names = ['PORT', 'HOST', 'PUBLIC_URL', 'DATABASE_URL', 'S3_BUCKET', 'SIGNED_URL_SECRET', 'AUTH_MODE']
    for (const blank of ['', ' ', '\t\n']) {
      assert.deepEqual(readConfig(Object.fromEntries(names.map((name) => [name, blank]))), readConfig({}))
    }
  })

  it('are all wrong at once, by name and never by value', () => {
    const env = {
      PORT: '70000-canary',
      HOST: '0.0.0.0',
      PUBLIC_URL: 'canary.example',
      DATABASE_URL: 'mysql://app:canary@db/app',
      DATABASE_READ_URL: 'mysql://app:canary@db/app',
      DATABASE_READ_LAG_MAX_SECONDS: 'canary',
      DATABASE_CONNECTIONS_MAX: 'canary',
      WORKERS: 'canary',
      VALKEY_URL: 'http://:canary@cache',
      VALKEY_CLUSTER: 'canary',
      SNAPSHOT_STORAGE_BACKEND: 'canary',
      SNAPSHOT_INLINE_MAX_BYTES: '-1canary',
      SNAPSHOT_CACHE_TTL_SECONDS: '0',
      PAYLOAD_MAX_BYTES: '1e6canary',
      PAYLOAD_STREAMS_MAX: 'canary',
      UPLOAD_STREAMS_MAX: '-canary',
      PAYLOAD_MEMORY_MAX_BYTES: '1 canary',
      TRANSFER_MIN_BYTES_PER_SECOND: '0',
      KEEP_ALIVE_SECONDS: 'canary',
      QUERY_LIMITS: 'canary=5',
      DRAIN_DELAY_SECONDS: 'canary',
      S3_BUCKET: 'Canary_Bucket',
      S3_ENDPOINT_URL: 'ftp://canary',
      S3_PUBLIC_ENDPOINT_URL: 'canary',
      S3_FORCE_PATH_STYLE: 'canary',
      S3_ACCESS_KEY: 'canary',
      MINIO_BUCKET: 'canary bucket',
      MINIO_ENDPOINT_URL: 'canary:9000',
      STORAGE_ALLOWED_BUCKETS: 'good-one, Canary!',
      SIGNED_URL_SECRET: 'canary',
      LOG_LEVEL: 'canary',
      LOG_REQUESTS: 'canary',
      GRAPHIQL: 'canary',
      INTROSPECTION: 'canary',
    }
    const problems = problemsOf(env)
    for (const name of Object.keys(env)) {
      assert.equal(problems.filter((problem) => problem.startsWith(name)).length, 1, `${name}\n${problems.join('\n')}`)
    }
    assert.equal(problems.length, Object.keys(env).length)
    assert.doesNotMatch(problems.join(), /canary/i)
  })

  it('take ports, sizes and times as whole numbers within their limits', () => {
    const beyond = ['-1', '1.5', '1e3', '0x10', '+1', 'NaN', 'Infinity', '12 34', '99999999999999999']
    assertRefused('PORT', [...beyond, '65536'])
    assertRefused('SNAPSHOT_INLINE_MAX_BYTES', [...beyond, '67108865'])
    assertRefused('SNAPSHOT_CACHE_TTL_SECONDS', [...beyond, '0', '31536001'])
    assertRefused('PAYLOAD_MAX_BYTES', [...beyond, '0'])
    assertRefused('SIGNED_URL_MAX_SECONDS', [...beyond, '0', '604801'])
    assertRefused('PAYLOAD_STREAMS_MAX', [...beyond, '0', '10001'])
    assertRefused('UPLOAD_STREAMS_MAX', [...beyond, '0', '10001'])
    assertRefused('PAYLOAD_MEMORY_MAX_BYTES', [...beyond, '1048575'])
    assertRefused('TRANSFER_MIN_BYTES_PER_SECOND', [...beyond, '0', '1073741825'])
    assertRefused('KEEP_ALIVE_SECONDS', [...beyond, '0', '3601'])
    assertRefused('QUERY_LIMITS', ['nodes', 'nodes=', 'nodes=0', 'nodes=-1', 'nodes=1e3', 'Nodes=1', 'depth=5;nodes=6'])
    assert.deepEqual(readConfig({ QUERY_LIMITS: ' nodes=50000, depth = 20,' }).queryLimits, {
      nodes: 50_000,
      depth: 20,
    })
    assert.deepEqual(readConfig({}).queryLimits, {})
    assertRefused('DRAIN_DELAY_SECONDS', [...beyond, '601'])
    assertRefused('WORKERS', [...beyond, '0', '129', 'all'])
    assertRefused('DATABASE_CONNECTIONS_MAX', [...beyond, '1', '10001'])
    assert.equal(readConfig({ PORT: '0' }).port, 0)
    assert.equal(readConfig({ PORT: ' 65535 ' }).port, 65_535)
    assert.equal(readConfig({ SNAPSHOT_INLINE_MAX_BYTES: '0' }).inlineMaxBytes, 0)
  })

  it('give each worker what it needs', () => {
    const { workers, databaseConnectionsMax } = readConfig({ WORKERS: 'auto' })
    assert.equal(workers, availableParallelism())
    assert.ok(databaseConnectionsMax >= 4 * workers)
    const many = readConfig({ WORKERS: '100' })
    assert.deepEqual([many.databaseConnectionsMax, many.payloadStreamsMax, many.uploadStreamsMax], [400, 100, 100])
    assertRefused('UPLOAD_STREAMS_MAX', ['3'], { WORKERS: '4' })
    assertRefused('DATABASE_CONNECTIONS_MAX', ['7'], { WORKERS: '4' })
  })

  it('name a standby beside what it follows', () => {
    const url = 'postgres://u:p@standby:5432/d'
    assertRefused('DATABASE_READ_URL', [url])
    assert.equal(
      readConfig({ DATABASE_URL: 'postgres://u:p@primary:5432/d', DATABASE_READ_URL: url }).databaseReadUrl,
      url,
    )
  })

  it('let another host than loopback be served only when the lack of auth is said aloud', () => {
    assertRefused('HOST', ['0.0.0.0', '::', 'statelens.example', '10.0.0.1', '127.0.0.1.example', 'localhost.example'])
    for (const HOST of ['localhost', '127.0.0.1', '127.8.8.8', '::1', '[::1]'])
      assert.equal(readConfig({ HOST }).host, HOST)
    assert.equal(readConfig({ HOST: '0.0.0.0', AUTH_MODE: 'none' }).host, '0.0.0.0')
    assertRefused('AUTH_MODE', ['NONE', 'off'])
    assert.equal(
      readConfig({ HOST: '0.0.0.0', AUTH_MODE: 'token', AUTH_TOKENS_FILE: 't' }).authTokensFile,
      resolve('t'),
    )
  })

  it('say all that a way to log in needs', () => {
    const secret = '0123456789abcdef0123456789abcdef'
    assert.deepEqual(problemsOf({ AUTH_MODE: 'token' }).length, 1)
    assert.match(problemsOf({ AUTH_MODE: 'token' }).join(), /AUTH_TOKENS_FILE/)
    assert.match(problemsOf({ AUTH_MODE: 'jwt' }).join(), /JWT_JWKS_URL, JWT_SECRET or JWT_PUBLIC_KEY_FILE/)
    const { jwt } = readConfig({ AUTH_MODE: 'jwt', JWT_SECRET: secret, JWT_ISSUER: 'i', JWT_AUDIENCE: 'a' })
    assert.deepEqual(jwt, { keySource: { secret }, issuer: 'i', audience: 'a', scopeClaim: 'scope' })
    assertRefused('JWT_SECRET', ['canary', secret.slice(1)], { AUTH_MODE: 'jwt' })
    assertRefused('JWT_PUBLIC_KEY_FILE', ['/canary.pem'], { AUTH_MODE: 'jwt', JWT_SECRET: secret })
    for (const url of ['http://issuer.example/keys', 'ftp://issuer.example', 'issuer']) {
      assertRefused('JWT_JWKS_URL', [url], { AUTH_MODE: 'jwt' })
    }
    for (const url of ['https://issuer.example/keys', 'http://127.0.0.1:9/keys', 'http://keycloak:8080/keys']) {
      assert.deepEqual(readConfig({ AUTH_MODE: 'jwt', JWT_JWKS_URL: url }).jwt?.keySource, { jwksUrl: url })
    }
  })

  it('may have their secrets in files, which are told by name when they cannot be read', async () => {
    await using folder = await temporaryFolder()
    const path = join(folder.path, 'secret')
    await writeFile(path, 'canary-0123456789abcdef0123456789abcdef\n')
    const { signedUrlSecrets, jwt } = readConfig({ SIGNED_URL_SECRET_FILE: path, JWT_SECRET_FILE: path })
    assert.deepEqual(signedUrlSecrets, ['canary-0123456789abcdef0123456789abcdef'])
    assert.deepEqual(jwt?.keySource, { secret: 'canary-0123456789abcdef0123456789abcdef' })
    assertRefused('SIGNED_URL_SECRET_FILE', [join(folder.path, 'none'), folder.path])
    assertRefused('SIGNED_URL_SECRET', ['0123456789abcdef0123456789abcdef'], { SIGNED_URL_SECRET_FILE: path })
  })

  it('take DATABASE_URL in every form that libpq documents, and passwords as they are', () => {
    for (const [text, url] of [
      [
        'postgresql://app:s%2Fx@/states?host=/cloudsql/a:b',
        'postgresql:///states?host=%2Fcloudsql%2Fa%3Ab&user=app&password=s%2Fx',
      ],
      ['postgresql://app@/states?host=127.0.0.1&port=5433', 'postgresql:///states?host=127.0.0.1&port=5433&user=app'],
      ['postgres://app:pw@:5433/states', 'postgres:///states?port=5433&user=app&password=pw'],
      ['postgres://app@%2Frun%2Fpg:5433/states', 'postgres://app@%2Frun%2Fpg:5433/states'],
      ['postgres://app:ab/c+d=@db:5432/states', 'postgres://app:ab%2Fc%2Bd%3D@db:5432/states'],
      ['postgres://app:12/3@db/states', 'postgres://app:12%2F3@db/states'],
      ['postgres://app:a#b?c@db/states', 'postgres://app:a%23b%3Fc@db/states'],
      ['postgres://app:p@w:x@[::1]:5432/states', 'postgres://app:p%40w%3Ax@[::1]:5432/states'],
      ['postgres://app:50%@db/states', 'postgres://app:50%25@db/states'],
      ['postgres://db:5432/states?user=a@b', 'postgres://db:5432/states?user=a@b'],
      // The driver does no less for them, and would warn that it does.
      ['postgres://db/states?sslmode=require', 'postgres://db/states?sslmode=verify-full'],
      ['postgres://db/states?sslmode=verify-full&sslrootcert=system', 'postgres://db/states?sslmode=verify-full'],
      ['postgres://db/states?sslmode=no-verify', 'postgres://db/states?sslmode=no-verify'],
      [
        'postgres://db/states?uselibpqcompat=true&sslmode=require',
        'postgres://db/states?uselibpqcompat=true&sslmode=require',
      ],
    ] as const) {
      assert.equal(readConfig({ DATABASE_URL: text }).databaseUrl, url, text)
    }
    for (const [text, problem] of [
      ['postgres://one:5432,two:5432/states', /names several hosts/],
      ['postgres://one,two/states?target_session_attrs=read-write', /names several hosts/],
      ['postgresql:///states?host=one,two', /names several hosts/],
      ['postgres://app:canary@db:port/states', /has no host and port/],
      ['postgres://db/states?sslmode=required', /sslmode that is none of/],
      ['postgres://db/states?sslrootcert=/canary/none.pem', /sslrootcert that cannot be read/],
      ['postgres://db/states?uselibpqcompat=true&sslmode=verify-ca', /needs sslrootcert/],
    ] as const) {
      const [told = '', ...others] = problemsOf({ DATABASE_URL: text })
      assert.deepEqual(others, [])
      assert.match(told, problem)
      assert.match(told, /^DATABASE_URL /)
      assert.doesNotMatch(told, /canary/)
    }
  })

  it('take URLs of the schemes that are served', () => {
    assertRefused('PUBLIC_URL', [
      'statelens.example',
      'ftp://statelens.example',
      'https://',
      'javascript:alert(1)',
      'http:/x',
    ])
    assert.equal(readConfig({ PUBLIC_URL: 'http://[::1]:4000/a@b/' }).publicUrl, 'http://[::1]:4000/a@b')

    assertRefused('DATABASE_URL', [
      'db.example:5432/app',
      'mysql://db.example',
      'postgres:app',
      'postgres://app:pw@[::1',
    ])
    assertRefused('VALKEY_URL', ['cache.example:6379', 'http://cache.example', 'redis:cache'])
    assert.equal(
      readConfig({ PUBLIC_URL: 'https://statelens.example/base//' }).publicUrl,
      'https://statelens.example/base',
    )
    for (const url of ['postgres://db.example/app', 'postgresql:///app?host=/run/postgresql']) {
      assert.equal(readConfig({ DATABASE_URL: url }).databaseUrl, url)
    }
    for (const url of ['redis://cache', 'rediss://:pw@cache:6380/1', 'valkey://cache', 'valkeys://cache']) {
      assert.equal(readConfig({ VALKEY_URL: url }).valkeyUrl, url)
    }
  })

  it('D21: take no PUBLIC_URL that links could not begin with', () => {
    assertRefused('PUBLIC_URL', [
      'https://states.example/?a=1',
      'https://states.example/#part',
      'https://states.example?',
      'https://states.example#',
      'https://user:password@states.example',
      'https://user@states.example/base',
      'https://@states.example',
      'https://states.example/a b',
      'https://states.example\\base',
    ])
  })

  it('take origins as browsers spell them, or * alone for all', () => {
    assertRefused('CORS_ORIGINS', [
      'pages.example',
      '//pages.example',
      'ftp://pages.example',
      'null',
      'https://',
      'https://pages.example/',
      'https://pages.example/path',
      'https://pages.example?query',
      'https://pages.example#part',
      'https://user@pages.example',
      'https://pages.example:',
      'https://pages.example:65536',
      'https://*.example.com',
      'https://pages.example https://other.example',
      'https://pages.example,',
      'https://pages.example,*',
      '*,*',
      'https://pages.example\\@evil.example',
      'https://[::1',
    ])
    const originsOf = (CORS_ORIGINS: string) => readConfig({ CORS_ORIGINS }).corsOrigins
    assert.deepEqual(originsOf(' * '), ['*'])
    assert.deepEqual(originsOf('https://ui.example.com, http://localhost:3000'), [
      'https://ui.example.com',
      'http://localhost:3000',
    ])
    assert.deepEqual(originsOf('HTTPS://UI.Example.com:443,https://ui.example.com,http://[::1]:80'), [
      'https://ui.example.com',
      'http://[::1]',
    ])
    assert.deepEqual(originsOf('https://bücher.example'), ['https://xn--bcher-kva.example'])
  })

  it('take one or two secrets of at least 32 bytes', () => {
    const [one, two] = ['a'.repeat(32), 'ü'.repeat(16)]
    assertRefused('SIGNED_URL_SECRET', ['a'.repeat(31), `${one},${'b'.repeat(31)}`, `${one},`, `${one},${two},${one}`])
    assert.deepEqual(readConfig({ SIGNED_URL_SECRET: one }).signedUrlSecrets, [one])
    assert.deepEqual(readConfig({ SIGNED_URL_SECRET: `${one}, ${two}` }).signedUrlSecrets, [one, two])
  })

  it('make paths absolute, and the root of files a folder of DATA_DIR', () => {
    assert.deepEqual(
      [readConfig({ DATA_DIR: 'here' }).dataDir, readConfig({ DATA_DIR: '/there/' }).storagePath],
      [resolve('here'), '/there/snapshots'],
    )
    assert.equal(readConfig({ DATA_DIR: '/there', SNAPSHOT_STORAGE_PATH: 'states' }).storagePath, resolve('states'))
  })
})

describe('settings of object storage', () => {
  it('are wanted where new payloads go there', () => {
    assertRefused('S3_BUCKET', [''], { SNAPSHOT_STORAGE_BACKEND: 's3' })
    assertRefused('MINIO_BUCKET', [''], { SNAPSHOT_STORAGE_BACKEND: 'minio' })
    assertRefused('SNAPSHOT_STORAGE_BACKEND', ['gcs', 'S3', 'file'])
  })

  it('take bucket names only', () => {
    const others = [
      'ab',
      'Upper',
      'under_score',
      '-dash',
      'dash-',
      'a/b',
      'a b',
      'arn:aws:s3:::a',
      'a'.repeat(64),
      'a@evil',
      'a..b',
      '127.0.0.1',
      '10.20.30.400',
    ]
    assertRefused('S3_BUCKET', others)
    assertRefused('MINIO_BUCKET', others)
    assertRefused('STORAGE_ALLOWED_BUCKETS', [...others, 'good-one,', ',', 'good-one,,good-two'])
    const { s3, allowedBuckets } = readConfig({ S3_BUCKET: 'a.good-one', STORAGE_ALLOWED_BUCKETS: 'one-1, two-2' })
    assert.deepEqual([s3?.bucket, allowedBuckets], ['a.good-one', ['one-1', 'two-2']])
  })

  it('take the bucket names that a storage URI may hold, and no others', () => {
    const names = [
      'a.b',
      'a.-b',
      'a-.b',
      'a..b',
      '1.2.3.4',
      '1.2.3.4.5',
      '1.2.3',
      'a1.2.3.4',
      '1.2.3.a',
      'ab',
      'a b',
      'abc',
      '-ab',
      'ab-',
      'xn--a',
      'A-b',
      'a_b',
    ]
    for (const name of names) {
      const isInUri = () => {
        try {
          return parseStorageUri(`s3://${name}/key`).bucket === name
        } catch (error) {
          assert.ok(isAppError(error, 'STORAGE_URI_REJECTED'))
          return false
        }
      }
      assert.equal(problemsOf({ S3_BUCKET: name }).length === 0, isInUri(), name)
    }
  })

  it('are checked also while no bucket is set', () => {
    assertRefused('S3_ENDPOINT_URL', ['storage.example', 's3://storage.example'])
    assertRefused('MINIO_PUBLIC_ENDPOINT_URL', ['storage.example'])
    assertRefused('S3_FORCE_PATH_STYLE', ['yes', '1', 'TRUE'])
  })

  it('take both keys, or leave both to the chain of credentials', () => {
    for (const name of ['S3_ACCESS_KEY', 'S3_SECRET_KEY', 'MINIO_ACCESS_KEY', 'MINIO_SECRET_KEY']) {
      assertRefused(name, ['a-long-canary'])
    }
  })

  it('S10: take both keys from one place, and never pair the id of one with the secret of another', () => {
    const s3 = { S3_BUCKET: 'one', S3_ACCESS_KEY: 'id', S3_SECRET_KEY: 'key' }
    for (const name of ['MINIO_ACCESS_KEY', 'MINIO_SECRET_KEY']) assertRefused(name, ['a-long-canary'], s3)
    const keysOf = ({ accessKey, secretKey }: ObjectStoreConfig) => [accessKey, secretKey]
    const { s3: first, minio } = readConfig({ ...s3, MINIO_ACCESS_KEY: 'its own', MINIO_SECRET_KEY: 'pair' })
    assert.ok(first && minio)
    assert.deepEqual(
      [keysOf(first), keysOf(minio)],
      [
        ['id', 'key'],
        ['its own', 'pair'],
      ],
    )
  })

  it('of minio:// fall back on those of s3://, each by itself', () => {
    const s3 = {
      S3_BUCKET: 'states',
      S3_REGION: 'eu-central-1',
      S3_ENDPOINT_URL: 'http://127.0.0.1:9000',
      S3_ACCESS_KEY: 'id',
      S3_SECRET_KEY: 'key',
      S3_FORCE_PATH_STYLE: 'true',
    }
    const own = {
      bucket: 'states',
      region: 'eu-central-1',
      endpointUrl: 'http://127.0.0.1:9000',
      publicEndpointUrl: 'http://127.0.0.1:9000',
      accessKey: 'id',
      secretKey: 'key',
      forcePathStyle: true,
    }
    assert.deepEqual([readConfig(s3).s3, readConfig(s3).minio], [own, own])
    const mixed = { ...s3, MINIO_ENDPOINT_URL: 'http://127.0.0.1:9001', MINIO_FORCE_PATH_STYLE: 'false' }
    const endpoint = { endpointUrl: 'http://127.0.0.1:9001', publicEndpointUrl: 'http://127.0.0.1:9001' }
    assert.deepEqual(readConfig(mixed).minio, { ...own, ...endpoint, forcePathStyle: false })
    assert.deepEqual(readConfig({ ...s3, S3_BUCKET: '', MINIO_BUCKET: 'minio-1' }).minio, { ...own, bucket: 'minio-1' })
    assert.equal(readConfig({ ...s3, S3_BUCKET: '' }).s3, undefined)
  })

  it('sign for the public endpoint where there is one', () => {
    const { s3 } = readConfig({
      S3_BUCKET: 'states',
      S3_ENDPOINT_URL: 'http://storage.internal',
      S3_PUBLIC_ENDPOINT_URL: 'https://storage.example',
    })
    assert.deepEqual(
      [s3?.endpointUrl, s3?.publicEndpointUrl, s3?.region],
      ['http://storage.internal', 'https://storage.example', 'us-east-1'],
    )
  })
})

it('a name that looks like a setting and is none is told by name', () => {
  const env = {
    S3_BUKET: 'x',
    MINIO_ENDPOINT: 'x',
    PAYLOAD_STREAM_MAX: 'x',
    S3_BUCKET: 'abc',
    PATH: '/bin',
    AWS_REGION: 'x',
  }
  assert.deepEqual(unknownSettings(env), ['S3_BUKET', 'MINIO_ENDPOINT', 'PAYLOAD_STREAM_MAX'])
  assert.deepEqual(unknownSettings({}), [])
})

describe('.env.example', () => {
  it('lists exactly the settings that are read, each with its default', async () => {
    const text = await readFile(new URL('../.env.example', import.meta.url), 'utf8')
    const listed = new Map(
      [...text.matchAll(/^# ([A-Z][A-Z0-9_]+)=(.*)$/gm)].map(([, name = '', value = '']) => [name, value]),
    )
    const read = new Set<string>()
    const env = new Proxy<Env>(
      {},
      {
        get(_env, name) {
          read.add(String(name))
          return undefined
        },
      },
    )
    const defaults = readConfig(env)
    assert.deepEqual([...listed.keys()].sort(), [...read].sort())
    const { publicUrl, ...others } = readConfig(Object.fromEntries(listed))
    assert.deepEqual({ ...others, publicUrl: undefined }, { ...defaults })
    assert.equal(publicUrl, 'http://127.0.0.1:4000')
  })
})
