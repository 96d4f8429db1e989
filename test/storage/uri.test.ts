import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { isAppError } from '../../src/errors.ts'
import { formatStorageUri, parseStorageUri } from '../../src/storage/uri.ts'

const FILE_ROOT = '/srv/root'

function rejects(raw: string, code = 'STORAGE_URI_REJECTED'): void {
  assert.throws(() => parseStorageUri(raw, { fileRoot: FILE_ROOT }), { code }, raw)
}

describe('s3:// and minio://', () => {
  for (const scheme of ['s3', 'minio']) {
    it(`takes the key of ${scheme}:// byte for byte`, () => {
      for (const key of [
        'a',
        'a/b.json',
        'a?b#c',
        'a%20b',
        'a%2e%2e/b',
        '//',
        '/a',
        'a/',
        'a+b&c',
        'a\\b',
        'a b',
        '…',
        '.a',
        'a..',
        '...',
      ]) {
        const uri = { scheme, bucket: 'bucket-1', key }
        assert.deepEqual(parseStorageUri(`${scheme}://bucket-1/${key}`), uri)
        assert.equal(formatStorageUri(uri), `${scheme}://bucket-1/${key}`)
      }
    })
  }

  it('keeps the composed and the decomposed form of a letter apart', () => {
    assert.notEqual(parseStorageUri('s3://bucket/\u00e9').key, parseStorageUri('s3://bucket/e\u0301').key)
  })

  it('rejects a key with a dot segment', () => {
    for (const key of ['.', '..', '../a', 'a/..', 'a/../b', './a', 'a/.', 'a/./b']) rejects(`s3://bucket/${key}`)
  })

  it('rejects a bucket that is no bucket name', () => {
    const buckets = [
      '',
      'ab',
      'Bucket',
      '-abc',
      'abc-',
      '.abc',
      'a..b',
      'a_b',
      'a b',
      'bucket@evil.com',
      'bucket:80',
      '127.0.0.1',
    ]
    const hosts = [
      '169.254.169.254',
      '[::1]',
      'arn:aws:s3:us-east-1:123456789012:accesspoint',
      'a'.repeat(64),
      'büro',
      'a%62c',
    ]
    for (const bucket of [...buckets, ...hosts]) rejects(`s3://${bucket}/key`)
  })

  it('rejects a URI without a key', () => {
    for (const raw of ['s3://', 's3://bucket', 's3://bucket/', 's3:///key', 's3:bucket/key', 's3:/bucket/key'])
      rejects(raw)
  })

  it('allows 1,024 bytes of key, not one more', () => {
    assert.equal(parseStorageUri(`s3://bucket/${'ä'.repeat(512)}`).key.length, 512)
    rejects(`s3://bucket/${'ä'.repeat(512)}a`)
  })
})

describe('file://', () => {
  const keyOf = (raw: string) => parseStorageUri(raw, { fileRoot: FILE_ROOT }).key

  it('means a path below the root, decoded once', () => {
    assert.equal(keyOf('file:///a/b.json'), 'a/b.json')
    assert.equal(keyOf('file:///a%20b'), 'a b')
    assert.equal(keyOf('file:///a%3Fb%23c'), 'a?b#c')
    assert.equal(keyOf('file:///%252e%252e/a'), '%2e%2e/a')
    assert.equal(keyOf('file:///．．/a'), '．．/a')
    assert.deepEqual(parseStorageUri('file:///a'), { scheme: 'file', bucket: '', key: 'a' })
  })

  it("takes a path that starts with the root's own as it is", () => {
    assert.equal(keyOf('file:///srv/root/a.json'), 'a.json')
    assert.equal(parseStorageUri('file:///srv/root/a.json', { fileRoot: '/srv/root/' }).key, 'a.json')
    assert.equal(keyOf('file:///srv/rootless/a.json'), 'srv/rootless/a.json')
    assert.equal(keyOf('file:///srv/root-evil/a.json'), 'srv/root-evil/a.json')
    assert.equal(parseStorageUri('file:///srv/root/a.json').key, 'srv/root/a.json')
  })

  it('rejects what cannot be told from a path under the root', () => {
    for (const raw of ['file:///srv/root', 'file:///srv/root/srv/root/a', 'file:///srv/root/']) rejects(raw)
  })

  it('rejects dot segments, however they are written', () => {
    for (const path of ['..', '../a', 'a/../../b', '%2e%2e/a', '.%2e/a', '%2E./a', './a', 'a/%2e', 'srv/root/../a']) {
      rejects(`file:///${path}`)
    }
  })

  it('rejects a host, an escaped separator, and what a URL parser would cut off or repair', () => {
    for (const raw of [
      'file://host/a',
      'file://localhost/a',
      'file:a',
      'file:/a',
      'file:etc/passwd',
      'file://',
      'file:///',
    ])
      rejects(raw)
    for (const path of [
      'a%2fb',
      'a%2Fb',
      'a%5cb',
      'a\\b',
      'a%00b',
      'a?b',
      'a#b',
      'a%',
      'a%zz',
      '%c0%ae',
      '%ed%a0%80',
    ]) {
      rejects(`file:///${path}`)
    }
  })

  it('rejects empty names, escaped control characters and names that no file system has', () => {
    for (const path of ['a//b', '/a', 'a/', 'a%0ab', 'a%7f', 'a'.repeat(256), `${'ä'.repeat(128)}`])
      rejects(`file:///${path}`)
    assert.equal(keyOf(`file:///${'a'.repeat(255)}`).length, 255)
  })
})

describe('any URI', () => {
  it('is of a scheme that is listed, in lower case', () => {
    const others = [
      'http://a/b',
      'https://a/b',
      'ftp://a/b',
      'gs://bucket/a',
      'data:,a',
      'javascript:a',
      'S3://bucket/a',
      'FILE:///a',
    ]
    const none = [
      '',
      'a',
      '/etc/passwd',
      '//host/a',
      '://a',
      'object-storage://snapshots/a.json',
      'constructor://bucket/a',
    ]
    for (const raw of [...others, ...none]) rejects(raw, 'UNSUPPORTED_STORAGE_SCHEME')
    assert.equal(parseStorageUri('gs://bucket/a', { bucketSchemes: ['gs'] }).scheme, 'gs')
  })

  it('has no control characters, no outer spaces, and is well-formed', () => {
    for (const odd of ['\0', '\n', '\t', '\r', '\x7f', '\x85', '\ud800']) {
      rejects(`s3://bucket/a${odd}b`)
      rejects(`file:///a${odd}b`)
      rejects(`${odd}s3://bucket/a`)
    }
    for (const raw of [' s3://bucket/a', 's3://bucket/a ', ' file:///a', 'file:///a ']) rejects(raw)
  })

  it('has at most 2,048 bytes', () => {
    rejects(`http://${'a'.repeat(2048)}`)
    rejects(`file:///${'a/'.repeat(1200)}a`)
  })

  it('is never repeated in an error: not every viewer may see it', () => {
    for (const raw of ['s3://canary-bucket/../a', 'canary://a', 'file:///canary/../a', 's3://canary-bucket']) {
      assert.throws(
        () => parseStorageUri(raw),
        (error) => isAppError(error) && !error.message.includes('canary'),
      )
    }
  })
})

describe('properties', () => {
  const text = fc.string({ unit: 'grapheme', minLength: 1, maxLength: 60 })
  const bucket = fc.stringMatching(/^[a-z0-9][a-z0-9-]{1,20}[a-z0-9]$/)
  const plain = { noNullPrototype: true }
  const anyUri = fc.oneof(
    fc.record({ scheme: fc.constantFrom('s3', 'minio'), bucket, key: text }, plain),
    fc.record({ scheme: fc.constant('file'), bucket: fc.constant(''), key: text }, plain),
  )

  it('every URI that can be written is read back to the same parts', () => {
    let written = 0
    fc.assert(
      fc.property(anyUri, (uri) => {
        const raw = formatOrNull(uri)
        if (raw === null) return
        written += 1
        assert.deepEqual(parseStorageUri(raw), uri)
        assert.equal(formatStorageUri(parseStorageUri(raw)), raw)
      }),
      { numRuns: 2000 },
    )
    assert.ok(written > 1000)
  })

  it('every text is a URI or gets a typed error, and a key never leaves its root', () => {
    const piece = fc.constantFrom(
      's3://',
      'file:///',
      'minio://',
      'bucket',
      '/',
      '..',
      '.',
      '%2e',
      '%',
      '\\',
      '?',
      '#',
      ' ',
      'srv/root',
      'a',
    )
    const raws = fc.oneof(
      text,
      fc.array(piece, { maxLength: 12 }).map((pieces) => pieces.join('')),
    )
    fc.assert(
      fc.property(raws, (raw) => {
        try {
          const uri = parseStorageUri(raw, { fileRoot: FILE_ROOT })
          const segments = uri.key.split('/')
          assert.ok(!segments.includes('..') && !segments.includes('.'))
          assert.deepEqual(parseStorageUri(formatStorageUri(uri), { fileRoot: FILE_ROOT }), uri)
        } catch (error) {
          assert.ok(isAppError(error), String(error))
          assert.match(error.code, /^(STORAGE_URI_REJECTED|UNSUPPORTED_STORAGE_SCHEME)$/)
        }
      }),
      { numRuns: 5000 },
    )
  })

  it('no URI is written that means something else', () => {
    const parts = { scheme: 's3', bucket: 'bucket', key: 'a' }
    for (const wrong of [
      { bucket: 'bucket/a' },
      { key: '../a' },
      { key: '' },
      { scheme: 's3://x' },
      { scheme: 'file' },
      { key: 'a\n' },
    ]) {
      assert.equal(formatOrNull({ ...parts, ...wrong }), null)
    }
  })

  function formatOrNull(uri: { scheme: string; bucket: string; key: string }): string | null {
    try {
      return formatStorageUri(uri)
    } catch (error) {
      assert.ok(isAppError(error), String(error))
      return null
    }
  }
})
