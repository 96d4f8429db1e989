import { randomBytes } from 'node:crypto'
import {
  CreateBucketCommand,
  DeleteBucketCommand,
  DeleteObjectCommand,
  ListMultipartUploadsCommand,
  paginateListObjectsV2,
  S3Client,
} from '@aws-sdk/client-s3'
import { filesBelow, s3Env } from '../support/objects.ts'
import type { S3Service } from '../support/services.ts'
import { temporaryFolder } from '../support/tmp.ts'

/** Where the objects of a history lie, seen from behind the servers. */
export interface HistoryStore extends AsyncDisposable {
  /** What servers need of it beside `s3`; their own way to it is put in front. */
  readonly storagePath: string
  readonly s3: S3Service | undefined
  /** Settings of a server that reaches S3 at this endpoint. */
  env(endpoint: string): Readonly<Record<string, string>>
  /** URIs of all objects, in order. */
  list(): Promise<string[]>
  /** What is left of puts that did not come to their end. */
  leftovers(): Promise<string[]>
}

const PROBE = '.statelens-probe'

export async function openFileStore(): Promise<HistoryStore> {
  const folder = await temporaryFolder()
  const files = async (isPartial: boolean) =>
    (await filesBelow(folder.path))
      // By which a server looks whether the folder can be written: no object.
      .filter((path) => path !== PROBE && path.endsWith('.partial') === isPartial)
      .toSorted()
  return {
    storagePath: folder.path,
    s3: undefined,
    env: () => ({ SNAPSHOT_STORAGE_PATH: folder.path }),
    list: async () => (await files(false)).map((path) => `file:///${path}`),
    leftovers: () => files(true),
    [Symbol.asyncDispose]: () => folder[Symbol.asyncDispose](),
  }
}

/** A bucket of its own in the S3 server that tests share. */
export async function openS3Store(shared: S3Service): Promise<HistoryStore> {
  await using cleanup = new AsyncDisposableStack()
  const { path: storagePath } = cleanup.use(await temporaryFolder())
  const { endpoint, region, accessKey, secretKey } = shared
  const bucket = `history-${randomBytes(6).toString('hex')}`
  const admin = new S3Client({
    endpoint,
    region,
    forcePathStyle: true,
    credentials: { accessKeyId: accessKey, secretAccessKey: secretKey },
    requestChecksumCalculation: 'WHEN_REQUIRED',
    responseChecksumValidation: 'WHEN_REQUIRED',
  })
  cleanup.defer(() => admin.destroy())
  await admin.send(new CreateBucketCommand({ Bucket: bucket }))

  async function keys(): Promise<string[]> {
    const found: string[] = []
    for await (const { Contents = [] } of paginateListObjectsV2({ client: admin }, { Bucket: bucket })) {
      for (const { Key } of Contents) if (Key !== undefined) found.push(Key)
    }
    return found
  }

  cleanup.defer(async () => {
    for (const Key of await keys()) await admin.send(new DeleteObjectCommand({ Bucket: bucket, Key }))
    await admin.send(new DeleteBucketCommand({ Bucket: bucket }))
  })
  const owned = cleanup.move()
  const s3 = { ...shared, bucket }
  return {
    storagePath,
    s3,
    env: (reached) => ({
      ...s3Env({ ...s3, endpoint: reached }),
      // Clients send to it themselves.
      S3_PUBLIC_ENDPOINT_URL: endpoint,
      SNAPSHOT_STORAGE_PATH: storagePath,
    }),
    list: async () => (await keys()).map((key) => `s3://${bucket}/${key}`).toSorted(),
    async leftovers() {
      const { Uploads = [] } = await admin.send(new ListMultipartUploadsCommand({ Bucket: bucket }))
      return Uploads.map(({ Key }) => String(Key))
    },
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  }
}
