import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { createStorage, type S3Settings, type StorageOptions } from '../../src/storage/registry.ts'
import { formatStorageUri } from '../../src/storage/uri.ts'

/** A port that nothing listens on: whatever connects fails. */
const S3: S3Settings = {
  bucket: 'own-bucket',
  region: 'us-east-1',
  endpointUrl: 'http://127.0.0.1:1',
  accessKey: 'a',
  secretKey: 's',
}
const ALL: StorageOptions = {
  defaultScheme: 's3',
  s3: S3,
  minio: { ...S3, bucket: 'minio-bucket' },
  file: { root: '/srv/root/' },
}

describe('resolve', () => {
  it('finds the backend of each scheme, and gives the same one each time', () => {
    const storage = createStorage(ALL)
    const backends = ['s3://own-bucket/a', 'minio://minio-bucket/a', 'file:///a'].map(
      (raw) => storage.resolve(raw).backend,
    )
    assert.equal(new Set(backends).size, 3)
    assert.equal(storage.resolve('s3://own-bucket/b').backend, backends[0])
    storage.close()
  })

  it('returns the parts of the URI', () => {
    const { uri } = createStorage(ALL).resolve('minio://minio-bucket/a?b#c%20d')
    assert.deepEqual(uri, { scheme: 'minio', bucket: 'minio-bucket', key: 'a?b#c%20d' })
  })

  it("takes a file path that starts with the root's own", () => {
    assert.equal(createStorage(ALL).resolve('file:///srv/root/a/b').uri.key, 'a/b')
  })

  it('rejects a bucket that is not allowed', () => {
    const storage = createStorage(ALL)
    for (const raw of ['s3://other-bucket/a', 's3://minio-bucket/a', 'minio://own-bucket/a', 's3://own-bucket2/a']) {
      assert.throws(() => storage.resolve(raw), { code: 'STORAGE_URI_REJECTED' })
    }
  })

  it('allows the listed buckets besides the configured ones', () => {
    const storage = createStorage({ ...ALL, allowedBuckets: ['old-bucket'] })
    for (const raw of ['s3://old-bucket/a', 'minio://old-bucket/a', 's3://own-bucket/a']) storage.resolve(raw)
    assert.throws(() => storage.resolve('s3://other-bucket/a'), { code: 'STORAGE_URI_REJECTED' })
  })

  it('knows no scheme without settings, and none that it does not list', () => {
    const storage = createStorage({ defaultScheme: 'file', file: { root: '/srv/root' } })
    for (const raw of ['s3://own-bucket/a', 'gs://own-bucket/a', 'http://own-bucket/a']) {
      assert.throws(() => storage.resolve(raw), { code: 'UNSUPPORTED_STORAGE_SCHEME' })
    }
  })

  it('takes object-storage:// for the default backend, with the grammar of its own scheme', () => {
    const raw = 'object-storage://snapshots/a.json'
    const resolved = (['s3', 'minio', 'file'] as const).map((defaultScheme) => {
      const storage = createStorage({ ...ALL, defaultScheme })
      const { backend, uri } = storage.resolve(raw)
      assert.equal(backend, storage.resolve(formatStorageUri(uri)).backend)
      for (const odd of ['', '../a', 'a/./b', 'a\nb'].map((key) => `object-storage://${key}`)) {
        assert.throws(() => storage.resolve(odd), { code: 'STORAGE_URI_REJECTED' }, odd)
      }
      return formatStorageUri(uri)
    })
    assert.deepEqual(resolved, [
      's3://own-bucket/snapshots/a.json',
      'minio://minio-bucket/snapshots/a.json',
      'file:///snapshots/a.json',
    ])
    for (const odd of ['object-storage:/a', 'object-storage:a', ' object-storage://a']) {
      assert.throws(() => createStorage(ALL).resolve(odd), { code: 'STORAGE_URI_REJECTED' }, odd)
    }
    assert.throws(() => createStorage(ALL).resolve('Object-Storage://a'), { code: 'UNSUPPORTED_STORAGE_SCHEME' })
  })

  it('rejects a malformed URI even of a scheme without settings', () => {
    const storage = createStorage({ defaultScheme: 'file', file: { root: '/srv/root' } })
    assert.throws(() => storage.resolve('s3://own-bucket/../a'), { code: 'STORAGE_URI_REJECTED' })
  })
})

describe('newUri', () => {
  it('lies in the configured bucket, or below the root, of the default backend', () => {
    const uriOf = (defaultScheme: StorageOptions['defaultScheme']): string =>
      formatStorageUri(createStorage({ ...ALL, defaultScheme }).newUri('2026/01/02/a b.json'))
    assert.equal(uriOf('s3'), 's3://own-bucket/2026/01/02/a b.json')
    assert.equal(uriOf('minio'), 'minio://minio-bucket/2026/01/02/a b.json')
    assert.equal(uriOf('file'), 'file:///2026/01/02/a%20b.json')
  })

  it('can be resolved again once it was written out', () => {
    const storage = createStorage({ ...ALL, defaultScheme: 'file' })
    const uri = storage.newUri('a/100%.json')
    assert.deepEqual(storage.resolve(formatStorageUri(uri)).uri, uri)
  })

  it('rejects a key that no URI can name', () => {
    for (const key of ['', '..', 'a/../b', 'a\nb']) {
      assert.throws(() => createStorage(ALL).newUri(key), { code: 'STORAGE_URI_REJECTED' })
    }
  })
})

describe('a storage', () => {
  it('checks its default backend', async () => {
    await assert.rejects(createStorage(ALL).check(), { code: 'STORAGE_UNAVAILABLE' })
  })

  it('cannot be made without settings for its default', () => {
    assert.throws(() => createStorage({ defaultScheme: 'minio', s3: S3 }), { code: 'UNSUPPORTED_STORAGE_SCHEME' })
  })
})
