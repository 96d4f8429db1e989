import { CreateBucketCommand, S3Client } from '@aws-sdk/client-s3'
import type { S3Service } from '../services.ts'

/** The same server, once it has the bucket. */
export async function withBucket(service: S3Service): Promise<S3Service> {
  const client = new S3Client({
    endpoint: service.endpoint,
    region: service.region,
    credentials: { accessKeyId: service.accessKey, secretAccessKey: service.secretKey },
    forcePathStyle: true,
    requestChecksumCalculation: 'WHEN_REQUIRED',
    responseChecksumValidation: 'WHEN_REQUIRED',
  })
  try {
    await client.send(new CreateBucketCommand({ Bucket: service.bucket }))
  } catch (error) {
    if (!(error instanceof Error && error.name === 'BucketAlreadyOwnedByYou')) throw error
  } finally {
    client.destroy()
  }
  return service
}
