import { constants } from 'node:fs'
import { access, type FileHandle, open } from 'node:fs/promises'
import { dirname, resolve } from 'node:path'
import { Readable } from 'node:stream'
import { unlessAborted } from '../../abort.ts'
import { AppError } from '../../errors.ts'
import type { ByteRange, GetOptions, RawBackend, RawObject, StorageBackend } from '../backend.ts'
import { createUploadSource } from '../upload-source.ts'
import { copyOnce, OPEN_FLAGS } from './copy.ts'
import { fileError, folderError, writeError } from './errors.ts'
import { type FileSystem, NODE_FILE_SYSTEM } from './file-system.ts'
import { ensureFolder, makeFolder, partialsFolder } from './folders.ts'
import { createFileList } from './list.ts'
import { checkOpened, notAnObject, pathOf } from './paths.ts'
import { createProbe } from './probe.ts'
import { readRange } from './read.ts'
import { removeFiles } from './remove.ts'
import { writeOnce } from './write.ts'

export interface FileBackendOptions {
  /** Folder that holds every object; made by the first `check` or `put`. */
  readonly root: string
  /** Where it lies on a file system that differs; that of Node when left out. */
  readonly fs?: FileSystem
}

/** Objects as files below one root, which no path and no link leads out of. */
export function createFileBackend({ fs = NODE_FILE_SYSTEM, ...options }: FileBackendOptions): RawBackend {
  const root = resolve(options.root)
  const probe = createProbe(fs, root)

  async function makeFolders(path: string): Promise<void> {
    await ensureFolder(fs, { root, folder: dirname(path) })
    await ensureFolder(fs, { root, folder: partialsFolder(path) })
  }

  const deleteMany: NonNullable<StorageBackend['deleteMany']> = async (objects, { signal } = {}) => {
    signal?.throwIfAborted()
    const files = objects.map(({ uri, isUnfinished }) => ({ path: pathOf(root, uri), isUnfinished }))
    return await unlessAborted(removeFiles(fs, files, { root, signal }), signal)
  }

  return {
    async get(uri, getOptions = {}) {
      const { signal } = getOptions
      signal?.throwIfAborted()
      const path = pathOf(root, uri)
      try {
        const handle = await open(path, OPEN_FLAGS)
        return await checkOpened(root, handle, path)
          .then(() => openBody(handle, getOptions))
          .catch(async (error) => {
            await handle.close()
            throw error
          })
      } catch (error) {
        throw signal?.aborted ? signal.reason : fileError(error)
      }
    },

    async stat(uri, { signal } = {}) {
      signal?.throwIfAborted()
      const path = pathOf(root, uri)
      try {
        await using handle = await open(path, OPEN_FLAGS)
        await checkOpened(root, handle, path)
        return await statOf(handle)
      } catch (error) {
        throw fileError(error)
      }
    },

    async put(uri, body, putOptions = {}) {
      putOptions.signal?.throwIfAborted()
      const path = pathOf(root, uri)
      const source = createUploadSource(body, putOptions)
      try {
        await makeFolders(path)
        await writeOnce(fs, { path }, source.chunks)
        return { sizeBytes: source.receivedBytes(), versionId: null }
      } catch (error) {
        const failure = source.failure()
        throw failure === undefined ? writeError(error) : failure.error
      }
    },

    async copy(from, to, { sizeBytes, signal }) {
      signal?.throwIfAborted()
      const paths = { from: pathOf(root, from), to: pathOf(root, to) }
      const prepare = () => makeFolders(paths.to)
      await unlessAborted(copyOnce(fs, { root, ...paths, sizeBytes, prepare, signal }), signal)
      return { sizeBytes, versionId: null }
    },

    async delete(uri, { isUnfinished = true, signal } = {}) {
      const doomed = { uri, multipartId: null, versionId: null, isUnfinished }
      const [failure] = await deleteMany([doomed], { signal })
      if (failure) throw failure
    },

    deleteMany,

    list: createFileList(root),

    async check({ signal } = {}) {
      signal?.throwIfAborted()
      try {
        await makeFolder(fs, root)
        // The dot fails where a plain file is in the way.
        await access(`${root}/.`, constants.R_OK | constants.W_OK | constants.X_OK)
        await probe.look()
      } catch (error) {
        throw folderError(error)
      }
    },

    close() {},
  }
}

async function openBody(handle: FileHandle, { range, ifMatch, signal }: GetOptions): Promise<RawObject> {
  const { sizeBytes, etag } = await statOf(handle)
  if (ifMatch !== undefined && ifMatch !== etag) throw new AppError('CONFLICT', 'The object is another version')
  const { start, end } = range ?? { start: 0, end: sizeBytes }
  if (range && !(start >= 0 && start < end && end <= sizeBytes)) {
    throw new AppError('RANGE_NOT_SATISFIABLE', `The object has ${sizeBytes} bytes`)
  }
  signal?.throwIfAborted()
  return { sizeBytes, etag, body: await readFrom(handle, { start, end }), toError: fileError }
}

async function statOf(handle: FileHandle): Promise<{ readonly sizeBytes: number; readonly etag: string }> {
  const stat = await handle.stat({ bigint: true })
  if (!stat.isFile()) throw notAnObject()
  const etag = `"${stat.ino.toString(16)}-${stat.size.toString(16)}-${stat.mtimeNs.toString(16)}"`
  return { sizeBytes: Number(stat.size), etag }
}

async function readFrom(handle: FileHandle, { start, end }: ByteRange): Promise<Readable> {
  if (start < end) return readRange(handle, { start, end })
  await handle.close()
  return Readable.from([])
}
