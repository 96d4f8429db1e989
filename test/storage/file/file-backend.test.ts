import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
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
import { join } from 'node:path'
import { buffer } from 'node:stream/consumers'
import { after, beforeEach, describe, it } from 'node:test'
import { isAppError } from '../../../src/errors.ts'
import type { RawBackend, StorageUri } from '../../../src/storage/backend.ts'
import { createFileBackend } from '../../../src/storage/file/file-backend.ts'
import { resuming } from '../../../src/storage/resume.ts'
import { chunked, testStorageBackend, yielding } from '../../contract/storage-backend.ts'

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
    assert.deepEqual(await readdir(join(full.path, 'a')), [])
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
