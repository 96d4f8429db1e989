import { constants } from 'node:fs'
import { access, type FileHandle, open, readlink, realpath, unlink } from 'node:fs/promises'
import { dirname, join, resolve, sep } from 'node:path'
import { Readable } from 'node:stream'
import { AppError } from '../../errors.ts'
import type { ByteRange, GetOptions, RawBackend, RawObject, StorageUri } from '../backend.ts'
import { createUploadSource } from '../upload-source.ts'
import { fileError, folderError, writeError } from './errors.ts'
import { makeFolder, removePartials, syncFolder, writeOnce } from './write.ts'

/** A link is not followed, and a pipe does not block the thread that opens it. */
const OPEN_FLAGS = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK
const READ_CHUNK_BYTES = 256 * 1024

export interface FileBackendOptions {
  /** Folder that holds every object; made by the first `check` or `put`. */
  readonly root: string
}

/** Objects as files below one root, which no path and no link leads out of. */
export function createFileBackend(options: FileBackendOptions): RawBackend {
  const root = resolve(options.root)

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
        await makeFolder(dirname(path))
        await checkBelow(root, dirname(path))
        await writeOnce(path, source.chunks)
        return { sizeBytes: source.receivedBytes(), versionId: null }
      } catch (error) {
        const failure = source.failure()
        throw failure === undefined ? writeError(error) : failure.error
      }
    },

    async delete(uri, { signal } = {}) {
      signal?.throwIfAborted()
      const path = pathOf(root, uri)
      try {
        await checkBelow(root, dirname(path))
        await removePartials(path)
        await unlink(path)
        await syncFolder(dirname(path))
      } catch (error) {
        const failure = fileError(error)
        if (failure.code !== 'OBJECT_MISSING') throw failure
      }
    },

    async check({ signal } = {}) {
      signal?.throwIfAborted()
      try {
        await makeFolder(root)
        // The dot fails where a plain file is in the way.
        await access(`${root}/.`, constants.R_OK | constants.W_OK | constants.X_OK)
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
  if (start < end) return handle.createReadStream({ start, end: end - 1, highWaterMark: READ_CHUNK_BYTES })
  await handle.close()
  return Readable.from([])
}

function pathOf(root: string, uri: StorageUri): string {
  const path = join(root, uri.key)
  if (!isBelow(root, path)) throw notAnObject()
  return path
}

/** On Linux asks for the path of what is open, not of what lies there now: a link swapped in meanwhile changes nothing. */
async function checkOpened(root: string, handle: FileHandle, path: string): Promise<void> {
  const opened = process.platform === 'linux' ? readlink(`/proc/self/fd/${handle.fd}`) : realpath(path)
  const [realRoot, realFile] = await Promise.all([realpath(root), opened])
  if (!isBelow(realRoot, realFile)) throw notAnObject()
}

async function checkBelow(root: string, folder: string): Promise<void> {
  const [realRoot, realFolder] = await Promise.all([realpath(root), realpath(folder)])
  if (realFolder !== realRoot && !isBelow(realRoot, realFolder)) throw notAnObject()
}

function isBelow(root: string, path: string): boolean {
  return path.startsWith(root.endsWith(sep) ? root : root + sep)
}

function notAnObject(): AppError {
  return new AppError('STORAGE_URI_REJECTED', 'The storage URI does not lead to a plain file below the root')
}
