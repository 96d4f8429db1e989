import { createHash, randomUUID } from 'node:crypto'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { buffer } from 'node:stream/consumers'
import type { S3Service } from './services.ts'

/** As much of S3 as objects and uploads in parts need, in memory: it counts, waits where it is told, and checks no signature. */
export interface MemoryS3 extends AsyncDisposable {
  readonly service: S3Service
  /** By key. A test may put other bytes in an object's place. */
  readonly objects: Map<string, Buffer>
  /** Method and key of every request so far; a GET with its range. Empty it before what is to be counted. */
  readonly requests: string[]
  /** What the store says of an object's coding, by key. */
  readonly contentEncodings: Map<string, string>
  /** Keys of GETs that were broken off by who had asked. */
  readonly broken: string[]
  /** Waited for before each GET is answered. */
  beforeGet: (key: string) => Promise<void> | void
}

const BUCKET = 'memory'

export async function startMemoryS3(): Promise<MemoryS3> {
  const objects = new Map<string, Buffer>()
  const requests: string[] = []
  const broken: string[] = []
  const contentEncodings = new Map<string, string>()
  const uploads = new Map<string, Map<number, Buffer>>()
  const server = createServer((request, response) => {
    response.on('error', () => {})
    serve(request, response).catch(() => response.destroy())
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo

  async function serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { method = '', url = '' } = request
    const { pathname, searchParams } = new URL(url, 'http://s3')
    const key = decodeURIComponent(pathname.slice(`/${BUCKET}/`.length))
    const { range } = request.headers
    requests.push([method, key, range].filter(Boolean).join(' '))
    if (searchParams.has('uploads') || searchParams.has('uploadId')) {
      return inParts(key, { method, searchParams, body: await buffer(request) }, response)
    }
    if (method === 'PUT') return put(key, await buffer(request), response)
    request.resume()
    if (method === 'DELETE') {
      objects.delete(key)
      response.writeHead(204).end()
      return
    }
    if (method === 'GET') response.once('close', () => response.writableFinished || broken.push(key))
    if (method === 'GET') await memory.beforeGet(key)
    read(key, request, response)
  }

  function inParts(key: string, { method, searchParams, body }: PartRequest, response: ServerResponse): void {
    const uploadId = searchParams.get('uploadId') ?? randomUUID()
    const parts = uploads.get(uploadId) ?? new Map<number, Buffer>()
    if (method === 'PUT') {
      parts.set(Number(searchParams.get('partNumber')), body)
      response.writeHead(200, { etag: etagOf(body), 'content-length': 0 }).end()
      return
    }
    if (searchParams.has('uploads')) {
      uploads.set(uploadId, parts)
      response.end(`<InitiateMultipartUploadResult><UploadId>${uploadId}</UploadId></InitiateMultipartUploadResult>`)
      return
    }
    uploads.delete(uploadId)
    if (method !== 'POST') {
      response.writeHead(204).end()
      return
    }
    const bytes = Buffer.concat([...parts].toSorted(([a], [b]) => a - b).map(([, part]) => part))
    objects.set(key, bytes)
    response.end(
      `<CompleteMultipartUploadResult><ETag>${etagOf(bytes).replaceAll('"', '&quot;')}</ETag></CompleteMultipartUploadResult>`,
    )
  }

  function put(key: string, bytes: Buffer, response: ServerResponse): void {
    objects.set(key, bytes)
    response.writeHead(200, { etag: etagOf(bytes), 'content-length': 0 }).end()
  }

  function read(key: string, { method, headers }: IncomingMessage, response: ServerResponse): void {
    const bytes = objects.get(key)
    if (!bytes) {
      const body = method === 'HEAD' ? '' : '<Error><Code>NoSuchKey</Code><Message>no</Message></Error>'
      response.writeHead(404, { 'content-length': body.length }).end(body)
      return
    }
    const etag = etagOf(bytes)
    if (headers['if-match'] !== undefined && headers['if-match'] !== etag) {
      response.writeHead(412, { 'content-length': 0 }).end()
      return
    }
    const [, first, last] = /^bytes=(\d+)-(\d+)$/.exec(headers.range ?? '') ?? []
    const start = Number(first ?? 0)
    const end = Math.min(Number(last ?? bytes.length) + 1, bytes.length)
    const coding = contentEncodings.get(key)
    const extent = {
      ...(first === undefined ? {} : { 'content-range': `bytes ${start}-${end - 1}/${bytes.length}` }),
      ...(coding === undefined ? {} : { 'content-encoding': coding }),
    }
    response.writeHead(first === undefined ? 200 : 206, { etag, 'content-length': end - start, ...extent })
    response.end(method === 'HEAD' ? undefined : bytes.subarray(start, end))
  }

  const memory: MemoryS3 = {
    service: { endpoint: `http://127.0.0.1:${port}`, region: 'x', accessKey: 'a', secretKey: 'b', bucket: BUCKET },
    objects,
    requests,
    broken,
    contentEncodings,
    beforeGet: () => {},
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
  return memory
}

interface PartRequest {
  readonly method: string
  readonly searchParams: URLSearchParams
  readonly body: Buffer
}

function etagOf(bytes: Buffer): string {
  return `"${createHash('md5').update(bytes).digest('hex')}"`
}
