import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { createHash, randomUUID } from 'node:crypto'
import {
  link,
  mkdir,
  mkdtemp,
  readdir,
  readFile,
  rename,
  rm,
  stat,
  symlink,
  truncate,
  unlink,
  writeFile,
} from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join, relative } from 'node:path'
import { buffer } from 'node:stream/consumers'
import { after, beforeEach, describe, it } from 'node:test'
import { isAppError } from '../../../src/errors.ts'
import { describeError } from '../../../src/log.ts'
import type { DoomedObject, RawBackend, StorageUri } from '../../../src/storage/backend.ts'
import { createFileBackend } from '../../../src/storage/file/file-backend.ts'
import { NODE_FILE_SYSTEM } from '../../../src/storage/file/file-system.ts'
import { resuming } from '../../../src/storage/resume.ts'
import { chunked, testStorageBackend, yielding } from '../../contract/storage-backend.ts'
import { filesBelow } from '../../support/objects.ts'

const CANARY = 'canary outside the root'
const REJECTED = { code: 'STORAGE_URI_REJECTED' }
const uri = (key: string): StorageUri => ({ scheme: 'file', bucket: '', key })

const base = await mkdtemp(join(tmpdir(), 'statelens-file-'))
after(() => rm(base, { recursive: true }))

testStorageBackend('file', {
  create: async () => ({ backend: createFileBackend({ root: join(base, 'contract') }), uri }),
  moreKeys: ['a\u2028b', ' a ', 'b/c/d/e/f'],
})

it('leaves no temporary file behind, whatever happened in the contract', async () => {
  const names = await readdir(join(base, 'contract'), { recursive: true })
  assert.deepEqual(
    names.filter((name) => name.endsWith('.partial')),
    [],
  )
})

describe('a file root', () => {
  let folder: string
  let root: string
  let backend: RawBackend

  beforeEach(async () => {
    folder = await mkdtemp(join(base, 'root-'))
    root = join(folder, 'data')
    backend = createFileBackend({ root })
    await backend.check()
    await writeFile(join(folder, 'canary'), CANARY)
  })

  /** Every failure is typed, and tells nobody where the root lies. */
  async function refuses(act: Promise<unknown>, code: string): Promise<void> {
    await assert.rejects(act, (error) => {
      assert.ok(isAppError(error), String(error))
      assert.equal(error.code, code)
      assert.ok(!`${error.message}${error.cause}`.includes(folder))
      return true
    })
  }

  it('is readable by its owner alone', async () => {
    await backend.put(uri('a/b'), yielding('x'))
    assert.equal((await stat(root)).mode & 0o777, 0o700)
    assert.equal((await stat(join(root, 'a'))).mode & 0o777, 0o700)
    assert.equal((await stat(join(root, 'a/b'))).mode & 0o777, 0o600)
  })

  it('does not follow a link to a file, even to one below the root', async () => {
    await writeFile(join(root, 'real'), 'x')
    await symlink(join(folder, 'canary'), join(root, 'out'))
    await symlink('real', join(root, 'in'))
    for (const key of ['out', 'in']) await refuses(backend.get(uri(key)), 'STORAGE_URI_REJECTED')
  })

  it('does not follow a linked folder out of the root', async () => {
    await symlink(folder, join(root, 'up'))
    await refuses(backend.get(uri('up/canary')), 'STORAGE_URI_REJECTED')
    await refuses(backend.delete(uri('up/canary')), 'STORAGE_URI_REJECTED')
    await refuses(backend.put(uri('up/new'), yielding('x')), 'STORAGE_URI_REJECTED')
    assert.equal(await readFile(join(folder, 'canary'), 'utf8'), CANARY)
    assert.deepEqual((await readdir(folder)).sort(), ['canary', 'data'])
  })

  it('does not read a sibling whose path starts with its own', async () => {
    await mkdir(`${root}-evil`)
    await writeFile(`${root}-evil/a`, CANARY)
    await symlink(`${root}-evil`, join(root, 'link'))
    await refuses(backend.get(uri('link/a')), 'STORAGE_URI_REJECTED')
  })

  it('refuses a key that was never parsed', async () => {
    for (const key of ['../canary', 'a/../../canary', '']) {
      await assert.rejects(backend.get(uri(key)), REJECTED)
      await assert.rejects(backend.put(uri(key), yielding('x')), REJECTED)
      await assert.rejects(backend.delete(uri(key)), REJECTED)
    }
  })

  it('may itself be reached by a link', async () => {
    await symlink(root, join(folder, 'alias'))
    const alias = createFileBackend({ root: join(folder, 'alias') })
    await alias.put(uri('a/b'), yielding('x'))
    assert.equal(String(await buffer((await alias.get(uri('a/b'))).body)), 'x')
    await alias.delete(uri('a/b'))
    await refuses(backend.get(uri('a/b')), 'OBJECT_MISSING')
  })

  it('never serves what a link swapped in meanwhile leads to', async () => {
    await mkdir(join(root, 'dir'))
    await writeFile(join(root, 'dir/canary'), 'inside')
    await symlink(folder, join(root, 'evil'))
    let isSwapping = true
    const swaps = (async () => {
      while (isSwapping) {
        await rename(join(root, 'dir'), join(root, 'away'))
        await rename(join(root, 'evil'), join(root, 'dir'))
        await rename(join(root, 'dir'), join(root, 'evil'))
        await rename(join(root, 'away'), join(root, 'dir'))
      }
    })()
    const seen = new Set<string>()
    for (let count = 0; count < 1500; count += 1) {
      const read = backend.get(uri('dir/canary')).then(async ({ body }) => String(await buffer(body)))
      seen.add(await read.catch((error) => error.code))
    }
    isSwapping = false
    await swaps
    assert.ok(seen.has('inside') && seen.size > 1)
    assert.ok(!seen.has(CANARY))
  })

  it('refuses pipes, sockets, devices and folders at once, and goes on serving files', async () => {
    await backend.put(uri('file'), yielding('x'))
    await mkdir(join(root, 'folder'))
    execFileSync('mkfifo', [join(root, 'fifo')])
    const server = createServer().listen(join(root, 'socket'))
    const gets = Array.from({ length: 8 }, () => backend.get(uri('fifo')))
    await Promise.all(
      [...gets, backend.get(uri('folder')), backend.get(uri('socket'))].map((get) => assert.rejects(get, REJECTED)),
    )
    assert.equal(String(await buffer((await backend.get(uri('file'))).body)), 'x')
    await assert.rejects(backend.delete(uri('folder')), REJECTED)
    server.close()
    const devices = createFileBackend({ root: '/dev' })
    for (const key of ['zero', 'null']) await assert.rejects(devices.get(uri(key)), REJECTED)
  })

  it('treats a path through a file as missing, and refuses to write there', async () => {
    await backend.put(uri('a'), yielding('x'))
    await refuses(backend.get(uri('a/b')), 'OBJECT_MISSING')
    await backend.delete(uri('a/b'))
    await refuses(backend.put(uri('a/b'), yielding('x')), 'STORAGE_UNAVAILABLE')
    await refuses(backend.put(uri('a/b/c'), yielding('x')), 'STORAGE_UNAVAILABLE')
  })

  it('refuses names that the file system has not', async () => {
    await refuses(backend.get(uri('a'.repeat(256))), 'STORAGE_URI_REJECTED')
    await refuses(backend.put(uri('a'.repeat(256)), yielding('x')), 'STORAGE_URI_REJECTED')
  })

  it('reports an unusable root without its path', async () => {
    await writeFile(join(folder, 'plain'), '')
    const unusable = createFileBackend({ root: join(folder, 'plain') })
    await refuses(unusable.check(), 'STORAGE_UNAVAILABLE')
    await refuses(createFileBackend({ root: join(folder, 'plain/below') }).check(), 'STORAGE_UNAVAILABLE')
    await refuses(createFileBackend({ root: '/proc/none' }).check(), 'STORAGE_UNAVAILABLE')
  })

  it('reports a full disk, and leaves nothing on it', async (test) => {
    const full = await mountSmallDisk(join(folder, 'full'))
    if (full === null) return test.diagnostic('a file system of limited size cannot be had here')
    test.after(() => full.unmount())
    const onFull = createFileBackend({ root: full.path })
    await refuses(onFull.put(uri('a/b'), chunked(Buffer.alloc(4 * 1024 * 1024))), 'STORAGE_UNAVAILABLE')
    assert.deepEqual(await filesBelow(full.path), [])
  })

  it('D13: says in the cause of a failure what the system said, as a log shows it', async (test) => {
    const full = await mountSmallDisk(join(folder, 'full'))
    if (full === null) return test.diagnostic('a file system of limited size cannot be had here')
    test.after(() => full.unmount())
    const put = createFileBackend({ root: full.path }).put(uri('a'), chunked(Buffer.alloc(4 * 1024 * 1024)))
    const failure = await put.catch((error: unknown) => error)
    const { cause } = describeError(failure)
    assert.ok(typeof cause === 'object' && cause !== null && 'code' in cause)
    assert.equal(cause.code, 'ENOSPC')
    await writeFile(join(folder, 'plain'), '')
    const unusable = await createFileBackend({ root: join(folder, 'plain/below') })
      .check()
      .catch((error) => error)
    assert.equal(unusable.cause.code, 'ENOTDIR')
  })

  describe('D15: folders', () => {
    const day = 'snapshots/2026/11/23'
    const foldersBelow = async () =>
      (await readdir(root, { recursive: true, withFileTypes: true }))
        .filter((entry) => entry.isDirectory() && entry.name !== '.partials')
        .map(({ parentPath, name }) => relative(root, join(parentPath, name)))
        .filter((path) => path.startsWith(day) && path !== day)

    it('of one snapshot alone, as keys had them once, go with their last object', async () => {
      const [snapshot, other] = [`${day}/${randomUUID()}`, `${day}/${randomUUID()}`]
      for (const key of [`${snapshot}/a.json`, `${snapshot}/b.json`, `${other}/a.json`]) {
        await backend.put(uri(key), yielding('x'))
      }
      await backend.delete(uri(`${snapshot}/a.json`))
      assert.deepEqual((await foldersBelow()).toSorted(), [snapshot, other].toSorted())
      await backend.delete(uri(`${snapshot}/b.json`))
      assert.deepEqual(await foldersBelow(), [other])
      await backend.delete(uri(`${other}/a.json`))
      assert.deepEqual(await foldersBelow(), [])
      await backend.delete(uri(`${other}/a.json`))
    })

    it('of a put that was refused go when its object is deleted, and hold nothing before', async () => {
      const key = `${day}/${randomUUID()}/a.json`
      await refuses(backend.put(uri(key), yielding('x'), { sizeBytes: 2 }), 'BAD_REQUEST')
      assert.deepEqual(await filesBelow(root), [])
      await backend.delete(uri(key))
      assert.deepEqual(await foldersBelow(), [])
    })

    it('of writers that were killed, today or with an older server, are emptied', async () => {
      const key = `${day}/${randomUUID()}/a.json`
      await backend.put(uri(key), yielding('x'))
      const mark = createHash('sha256').update('a.json').digest('hex').slice(0, 16)
      const inFolder = join(root, key, '..')
      await writeFile(join(inFolder, `.${mark}-${randomUUID()}.partial`), 'old')
      await writeFile(join(inFolder, '.partials', `${mark}-${randomUUID()}.partial`), 'new')
      await backend.delete(uri(key))
      assert.deepEqual([await filesBelow(root), await foldersBelow()], [[], []])
    })
  })

  describe('D12: many deletes', () => {
    const doomed = (key: string): DoomedObject => ({
      uri: uri(key),
      multipartId: null,
      versionId: null,
      isUnfinished: false,
    })

    it('tell for each whether it is gone, and end at none of them', async () => {
      for (const key of ['a/1', 'a/2', 'b/1']) await backend.put(uri(key), yielding('x'))
      await mkdir(join(root, 'a/folder'))
      await symlink(folder, join(root, 'up'))
      const keys = ['a/1', 'a/folder', 'up/canary', 'a/none', 'none/none', 'a/1/below', 'b/1', 'a/2']
      const failures = await backend.deleteMany?.(keys.map(doomed))
      assert.deepEqual(
        failures?.map((failure) => failure?.code ?? null),
        [null, 'STORAGE_URI_REJECTED', 'STORAGE_URI_REJECTED', null, null, null, null, null],
      )
      assert.deepEqual(await filesBelow(root), [])
      assert.equal(await readFile(join(folder, 'canary'), 'utf8'), CANARY)
    })

    it('let go of whoever has left, and of a file system that says nothing', async () => {
      const reason = new Error('gone')
      const hanging = createFileBackend({ root, fs: { ...NODE_FILE_SYSTEM, open: () => new Promise(() => {}) } })
      await backend.put(uri('a/1'), yielding('x'))
      const controller = new AbortController()
      const many = hanging.deleteMany?.([doomed('a/1')], controller)
      setImmediate(() => controller.abort(reason))
      await assert.rejects(async () => many, reason)
      await assert.rejects(hanging.delete(uri('a/1'), controller), reason)
      await assert.rejects(async () => backend.deleteMany?.([doomed('a/1')], controller), reason)
    })
  })

  it('ends a body with an error when its file is cut while it is read', async () => {
    await backend.put(uri('a'), chunked(Buffer.alloc(8 * 1024 * 1024)))
    const { body } = await resuming(backend).get(uri('a'))
    const chunks = body[Symbol.asyncIterator]()
    await chunks.next()
    await truncate(join(root, 'a'), 1000)
    await assert.rejects(
      async () => {
        while (!(await chunks.next()).done);
      },
      { code: 'STORAGE_UNAVAILABLE' },
    )
  })

  it('gives the whole body when its file grows or goes while it is read', async () => {
    const bytes = Buffer.alloc(8 * 1024 * 1024, 'x')
    await backend.put(uri('a'), chunked(bytes))
    const { body } = await backend.get(uri('a'))
    await writeFile(join(root, 'a'), 'more', { flag: 'a' })
    await unlink(join(root, 'a'))
    assert.ok(bytes.equals(await buffer(body)))
  })

  it('opens no more files than it closes', async () => {
    await backend.put(uri('a'), yielding('x'))
    await backend.put(uri('empty'), yielding())
    await link(join(root, 'a'), join(root, 'b'))
    const openFiles = async (): Promise<number> => (await readdir('/proc/self/fd')).length
    const baseline = await openFiles()
    for (let count = 0; count < 50; count += 1) {
      const { body } = await backend.get(uri('a'))
      body.destroy()
      await buffer((await backend.get(uri('empty'))).body)
      await assert.rejects(backend.get(uri('a'), { range: { start: 5, end: 9 } }))
      await assert.rejects(backend.put(uri('a'), yielding('y')))
    }
    await backend.check()
    assert.ok((await openFiles()) <= baseline + 2)
  })
})

interface SmallDisk {
  readonly path: string
  unmount(): void
}

/** A file system of 1 MiB, where this machine lets us have one. */
async function mountSmallDisk(path: string): Promise<SmallDisk | null> {
  await mkdir(path)
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=1m', 'tmpfs', path], { stdio: 'ignore' })
    return { path, unmount: () => execFileSync('umount', [path]) }
  } catch {
    return null
  }
}
