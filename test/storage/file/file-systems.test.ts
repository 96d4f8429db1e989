import assert from 'node:assert/strict'
import { copyFile, link, mkdir, mkdtemp, open, readdir, rm, stat, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { buffer } from 'node:stream/consumers'
import { after, beforeEach, describe, it } from 'node:test'
import type { StorageBackend, StorageUri } from '../../../src/storage/backend.ts'
import { createFileBackend } from '../../../src/storage/file/file-backend.ts'
import type { FileSystem } from '../../../src/storage/file/file-system.ts'
import { testStorageBackend, yielding } from '../../contract/storage-backend.ts'
import { filesBelow } from '../../support/objects.ts'

const uri = (key: string): StorageUri => ({ scheme: 'file', bucket: '', key })
const REAL: FileSystem = { link, copyFile, open }

const base = await mkdtemp(join(tmpdir(), 'statelens-file-systems-'))
after(() => rm(base, { recursive: true }))

const failing = (code: string) => Promise.reject(Object.assign(new Error(code), { code }))

/** As on SMB, exFAT and several FUSE mounts. */
const withoutLinks: FileSystem = { ...REAL, link: () => failing('EPERM') }

/** A folder's own fsync fails; a file's does not. */
function refusingFolderSync(code: string): FileSystem {
  return {
    ...REAL,
    async open(...args) {
      const handle = await open(...args)
      if ((await handle.stat()).isDirectory()) handle.sync = () => failing(code)
      return handle
    },
  }
}

/** Of what is on its way to become an object. */
function failingAt(step: 'open' | 'write' | 'sync' | 'link', code: string): FileSystem {
  if (step === 'link') return { ...REAL, link: () => failing(code) }
  return {
    ...REAL,
    async open(...args) {
      if (!String(args[0]).endsWith('.partial')) return await open(...args)
      if (step === 'open') return await failing(code)
      const handle = await open(...args)
      if (step === 'write') handle.writeFile = () => failing(code)
      else handle.sync = () => failing(code)
      return handle
    },
  }
}

testStorageBackend('S2: file, on a file system without hard links', {
  create: async () => ({ backend: createFileBackend({ root: join(base, 'contract'), fs: withoutLinks }), uri }),
})

it('S2: leaves no temporary file and no reservation where there are no hard links', async () => {
  const names = await filesBelow(join(base, 'contract'))
  assert.deepEqual(
    names.filter((name) => name.includes('.partials')),
    [],
  )
})

describe('a file system', () => {
  let root: string

  beforeEach(async () => {
    root = await mkdtemp(join(base, 'root-'))
  })

  const backendOn = (fs: FileSystem): StorageBackend => createFileBackend({ root, fs })
  const textOf = async (backend: StorageBackend, key: string) =>
    String(await buffer((await backend.get(uri(key))).body))

  it('S2: without hard links takes a put of a name that a killed writer had reserved, once that is deleted', async () => {
    const backend = backendOn(withoutLinks)
    await backend.put(uri('a/other'), yielding('x'))
    // Reserved for good by whoever was killed.
    const reserving = backendOn({
      ...withoutLinks,
      open: async (path, ...rest) => {
        const handle = await open(path, ...rest)
        if (!String(path).includes('reserved')) return handle
        await handle.close()
        return await failing('EIO')
      },
    })
    await assert.rejects(reserving.put(uri('a/b'), yielding('x')), { code: 'STORAGE_UNAVAILABLE' })
    await assert.rejects(backend.put(uri('a/b'), yielding('x')), { code: 'STORAGE_UNAVAILABLE' })
    await backend.delete(uri('a/b'))
    await backend.put(uri('a/b'), yielding('y'))
    assert.equal(await textOf(backend, 'a/b'), 'y')
  })

  it('S2: that loses the reply of a link that was done has stored the object', async () => {
    const backend = backendOn({
      ...REAL,
      link: async (from, to) => {
        await link(from, to)
        await link(from, to)
      },
    })
    assert.deepEqual(await backend.put(uri('a/b'), yielding('x')), { sizeBytes: 1, versionId: null })
    assert.equal(await textOf(backend, 'a/b'), 'x')
    await assert.rejects(backend.put(uri('a/b'), yielding('y')), { code: 'CONFLICT' })
    assert.equal((await stat(join(root, 'a/b'))).nlink, 1)
  })

  it('S2: that knows no fsync of a folder stores and deletes all the same; one whose fsync fails does not', async () => {
    for (const code of ['EINVAL', 'ENOTSUP', 'EPERM']) {
      const backend = backendOn(refusingFolderSync(code))
      await backend.put(uri(`${code}/a`), yielding('x'))
      await backend.delete(uri(`${code}/a`))
    }
    await assert.rejects(backendOn(refusingFolderSync('EIO')).put(uri('b/a'), yielding('x')), {
      code: 'STORAGE_UNAVAILABLE',
    })
    assert.deepEqual(await filesBelow(root), [])
  })

  for (const code of ['ENOSPC', 'EDQUOT', 'EMFILE', 'EACCES', 'EROFS', 'EIO']) {
    it(`G19: that fails with ${code} at any step of a put keeps nothing of it, and gives what it has`, async () => {
      await backendOn(REAL).put(uri('a/kept'), yielding('kept'))
      for (const step of ['open', 'write', 'sync', 'link'] as const) {
        const backend = backendOn(failingAt(step, code))
        const refused = backend.put(uri('a/b'), yielding('x'.repeat(100)))
        await assert.rejects(refused, (error: unknown) => {
          const { code: told, cause } = error as { code: string; cause: { code: string } }
          return assert.deepEqual([told, cause.code], ['STORAGE_UNAVAILABLE', code], step) ?? true
        })
        assert.equal(await textOf(backend, 'a/kept'), 'kept')
        assert.deepEqual(await filesBelow(root), ['a/kept'], step)
      }
    })
  }

  it('S2: that takes no file is not ready, and is looked at again', async () => {
    let isReadOnly = true
    const backend = backendOn({
      ...REAL,
      open: (path, flags, mode) =>
        isReadOnly && typeof flags === 'number' && flags & 64 ? failing('EROFS') : open(path, flags, mode),
    })
    await assert.rejects(backend.check(), { code: 'STORAGE_UNAVAILABLE' })
    isReadOnly = false
    await backend.check()
    assert.deepEqual(await readdir(root), [])
  })

  describe('copies', () => {
    const ways: Readonly<Record<string, FileSystem>> = {
      'by a second name': REAL,
      'by its bytes, where there can be no second name': {
        ...REAL,
        link: (from, to) => (isPartial(to) ? failing('EMLINK') : link(from, to)),
      },
      'by its bytes, where there are no hard links at all': withoutLinks,
    }
    const isPartial = (path: unknown) => String(path).endsWith('.partial')

    for (const [way, fs] of Object.entries(ways)) {
      it(`an object ${way}, and each goes without the other`, async () => {
        const backend = backendOn(fs)
        await backend.put(uri('a/source'), yielding('content'))
        const copied = await backend.copy?.(uri('a/source'), uri('b/copy'), { sizeBytes: 7 })
        assert.deepEqual(copied, { sizeBytes: 7, versionId: null })
        assert.equal((await stat(join(root, 'b/copy'))).mode & 0o777, 0o600)
        await backend.delete(uri('a/source'))
        assert.equal(await textOf(backend, 'b/copy'), 'content')
        assert.deepEqual(await filesBelow(root), ['b/copy'])
      })

      it(`an object ${way} never over another one, not even over a copy of the same`, async () => {
        const backend = backendOn(fs)
        await backend.put(uri('source'), yielding('content'))
        await backend.put(uri('other'), yielding('kept'))
        await backend.copy?.(uri('source'), uri('copy'), { sizeBytes: 7 })
        for (const key of ['other', 'copy', 'source']) {
          await assert.rejects(async () => backend.copy?.(uri('source'), uri(key), { sizeBytes: 7 }), {
            code: 'CONFLICT',
          })
        }
        assert.equal(await textOf(backend, 'other'), 'kept')
        assert.deepEqual((await filesBelow(root)).toSorted(), ['copy', 'other', 'source'])
      })
    }

    it('nothing that is no plain file below the root', async () => {
      const backend = backendOn(REAL)
      await writeFile(join(base, 'canary'), 'canary')
      await symlink(join(base, 'canary'), join(root, 'out'))
      await symlink(base, join(root, 'up'))
      await mkdir(join(root, 'folder'))
      for (const key of ['out', 'up/canary', 'folder']) {
        await assert.rejects(async () => backend.copy?.(uri(key), uri('copy'), { sizeBytes: 6 }), {
          code: 'STORAGE_URI_REJECTED',
        })
      }
      await assert.rejects(async () => backend.copy?.(uri('none'), uri('copy'), { sizeBytes: 6 }), {
        code: 'OBJECT_MISSING',
      })
      assert.deepEqual(await filesBelow(root), [])
    })

    it('nothing of a link that was swapped in after the look', async () => {
      await writeFile(join(base, 'swapped'), 'canary')
      const backend = backendOn({
        ...REAL,
        link: async (from, to) => {
          if (isPartial(to)) {
            await rm(String(from))
            await symlink(join(base, 'swapped'), String(from))
          }
          await link(from, to)
        },
      })
      await backend.put(uri('source'), yielding('content'))
      await assert.rejects(async () => backend.copy?.(uri('source'), uri('copy'), { sizeBytes: 7 }), {
        code: 'STORAGE_URI_REJECTED',
      })
      assert.deepEqual(await filesBelow(root), [])
    })

    it('nothing for whoever has left', async () => {
      const backend = backendOn(REAL)
      await backend.put(uri('source'), yielding('content'))
      const reason = new Error('gone')
      const controller = new AbortController()
      const slow = backendOn({
        ...REAL,
        link: async (from, to) => {
          controller.abort(reason)
          await link(from, to)
        },
      })
      const { signal } = controller
      await assert.rejects(async () => slow.copy?.(uri('source'), uri('copy'), { sizeBytes: 7, signal }), reason)
      await assert.rejects(async () => slow.copy?.(uri('source'), uri('copy'), { sizeBytes: 7, signal }), reason)
      await assert.rejects(backend.get(uri('copy')), { code: 'OBJECT_MISSING' })
    })
  })
})
