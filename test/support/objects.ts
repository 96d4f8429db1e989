import { readdir } from 'node:fs/promises'
import { join, relative } from 'node:path'
import { buffer } from 'node:stream/consumers'
import { MARK } from '../../src/storage/file/mark.ts'
import { createStorage, type StorageOptions } from '../../src/storage/registry.ts'
import type { S3Service } from './services.ts'

/** What a server needs to keep its objects in this S3 server. */
export function s3Env(service: S3Service, scheme: 's3' | 'minio' = 's3'): Record<string, string> {
  return {
    SNAPSHOT_STORAGE_BACKEND: scheme,
    S3_BUCKET: service.bucket,
    S3_REGION: service.region,
    S3_ENDPOINT_URL: service.endpoint,
    S3_ACCESS_KEY: service.accessKey,
    S3_SECRET_KEY: service.secretKey,
  }
}

/** The objects of a server, reached behind its back. */
export interface Objects extends Disposable {
  get(storageUri: string): Promise<Buffer>
  /** The object must not be there. */
  put(storageUri: string, bytes: Buffer | string): Promise<void>
  remove(storageUri: string): Promise<void>
  replace(storageUri: string, bytes: Buffer | string): Promise<void>
}

export interface ObjectsOptions {
  readonly storagePath: string
  readonly s3?: S3Service
}

export function openObjects(options: ObjectsOptions): Objects {
  const storage = createStorage(storageOptions(options))
  const objects: Objects = {
    async get(storageUri) {
      const { backend, uri } = storage.resolve(storageUri)
      return await buffer((await backend.get(uri)).body)
    },
    async put(storageUri, bytes) {
      const { backend, uri } = storage.resolve(storageUri)
      await backend.put(uri, once(Buffer.from(bytes)))
    },
    async remove(storageUri) {
      const { backend, uri } = storage.resolve(storageUri)
      await backend.delete(uri)
    },
    async replace(storageUri, bytes) {
      await objects.remove(storageUri)
      await objects.put(storageUri, bytes)
    },
    [Symbol.dispose]: () => storage.close(),
  }
  return objects
}

/** Settings of a storage with the same objects as a server's. */
export function storageOptions({ storagePath, s3 }: ObjectsOptions): StorageOptions {
  if (!s3) return { defaultScheme: 'file', file: { root: storagePath } }
  const connection = { ...s3, endpointUrl: s3.endpoint }
  return { defaultScheme: 's3', file: { root: storagePath }, s3: connection, minio: connection }
}

/** Every file below the folder but its mark, whole or not, unfinished ones as well; none when there is no folder. */
export async function filesBelow(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true }).catch(() => [])
  return entries
    .filter((entry) => entry.isFile() && !entry.name.startsWith(MARK))
    .map(({ parentPath, name }) => relative(folder, join(parentPath, name)))
}

async function* once(bytes: Buffer): AsyncGenerator<Buffer> {
  yield bytes
}
