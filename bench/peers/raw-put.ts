import { createHash, randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { createWriteStream } from 'node:fs'
import { rename, rm } from 'node:fs/promises'
import { createServer, type IncomingMessage, request, type ServerResponse } from 'node:http'
import { join } from 'node:path'
import type { Writable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { DeleteObjectCommand, PutObjectCommand, S3Client } from '@aws-sdk/client-s3'
import { getSignedUrl } from '@aws-sdk/s3-request-presigner'
import { createJsonScanner } from '../../src/json/scanner.ts'
import { listen, setting } from '../lib/listen.ts'

/*
 * The shortest way from a client to a store: one request of known length, piped into a signed PUT or into a file, and hashed on the
 * way. `PUT /s3/hash` and `PUT /folder/hash` do no more; `…/scan` validates the JSON, too, by the scanner of statelens. It answers
 * with the digest; what `DELETE` names is taken away again.
 */
const Bucket = setting('S3_BUCKET')
const folder = setting('DATA_DIR')
const client = new S3Client({
  endpoint: setting('S3_ENDPOINT_URL'),
  region: setting('S3_REGION'),
  credentials: { accessKeyId: setting('S3_ACCESS_KEY'), secretAccessKey: setting('S3_SECRET_KEY') },
  forcePathStyle: true,
  requestChecksumCalculation: 'WHEN_REQUIRED',
})

async function openObject(key: string, sizeBytes: string | undefined): Promise<Place> {
  const url = await getSignedUrl(client, new PutObjectCommand({ Bucket, Key: key }))
  const headers = { 'content-type': 'application/json', 'content-length': sizeBytes }
  const body = request(url, { method: 'PUT', headers })
  const answered = once(body, 'response')
  // A failure of the body is told by whoever writes it.
  answered.catch(() => {})
  const stored = async () => {
    const [answer] = await answered
    answer.resume()
    if (answer.statusCode !== 200) throw new Error(`The store answered ${answer.statusCode}`)
  }
  return { body, stored }
}

/** Safe on disk before it has its name, as in statelens. */
function openFile(key: string): Place {
  const path = join(folder, key)
  return { body: createWriteStream(`${path}.part`, { flush: true }), stored: () => rename(`${path}.part`, path) }
}

interface Place {
  readonly body: Writable
  stored(): Promise<void>
}

async function put(incoming: IncomingMessage, response: ServerResponse): Promise<void> {
  const [, to, how] = (incoming.url ?? '').split('/')
  const key = `raw-${randomUUID()}`
  const place = to === 's3' ? await openObject(key, incoming.headers['content-length']) : openFile(key)
  const hash = createHash('sha256')
  const scanner = how === 'scan' ? createJsonScanner() : null
  incoming.on('data', (chunk: Buffer) => {
    hash.update(chunk)
    scanner?.write(chunk)
  })
  await pipeline(incoming, place.body)
  scanner?.end()
  await place.stored()
  const body = JSON.stringify({ key, digest: `sha256:${hash.digest('hex')}` })
  response.writeHead(201, { 'content-type': 'application/json' }).end(body)
}

async function remove(incoming: IncomingMessage, response: ServerResponse): Promise<void> {
  const [, to, key = ''] = (incoming.url ?? '').split('/')
  if (to === 's3') await client.send(new DeleteObjectCommand({ Bucket, Key: key }))
  else await rm(join(folder, key))
  response.writeHead(204).end()
}

await listen(
  createServer((incoming, response) => {
    const handle = incoming.method === 'DELETE' ? remove : put
    handle(incoming, response).catch((error: Error) => {
      response.writeHead(500).end(error.message)
    })
  }),
)
