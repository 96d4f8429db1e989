import { createServer } from 'node:http'
import type { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { GetObjectCommand, S3Client } from '@aws-sdk/client-s3'
import { listen, setting } from '../lib/listen.ts'

/*
 * The shortest way from a store to a client with the AWS SDK: GetObject, piped. It knows nothing of snapshots, verifies nothing,
 * and takes the key from the path.
 */
const client = new S3Client({
  endpoint: setting('S3_ENDPOINT_URL'),
  region: setting('S3_REGION'),
  credentials: { accessKeyId: setting('S3_ACCESS_KEY'), secretAccessKey: setting('S3_SECRET_KEY') },
  forcePathStyle: true,
  responseChecksumValidation: 'WHEN_REQUIRED',
})
const Bucket = setting('S3_BUCKET')

const server = createServer((request, response) => {
  const Key = (request.url ?? '').slice(1)
  client
    .send(new GetObjectCommand({ Bucket, Key }))
    .then(async ({ Body, ContentLength }) => {
      response.writeHead(200, { 'content-type': 'application/json', 'content-length': ContentLength })
      await pipeline(Body as Readable, response)
    })
    .catch(() => response.destroy())
})
await listen(server)
