import { createHash, randomUUID } from 'node:crypto'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { text } from 'node:stream/consumers'

/** What becomes of one body after so many bytes: it is cut, answered with 503 `SlowDown`, or one bit of it turns over. */
export interface BodyFault {
  readonly afterBytes: number
  readonly how: 'rst' | 'fin' | 'busy' | 'flipped'
}

export interface CountingRules {
  /** Every part but the last has so many at least. */
  readonly partMinBytes: number
  readonly maxParts: number
}

export interface StoredBody {
  readonly sizeBytes: number
  /** Of each part, or of the whole. */
  readonly parts: readonly number[]
  /** SHA-256 in hex. */
  readonly digest: string
}

/** An S3 server in memory that keeps no byte: it counts and hashes what comes, and completes what follows S3's rules. */
export interface CountingS3 extends AsyncDisposable {
  readonly endpoint: string
  /** By key. */
  readonly objects: ReadonlyMap<string, StoredBody>
  /** Uploads in parts that were neither completed nor aborted. */
  openUploads(): number
  /** Bodies begun so far, broken ones too. */
  bodies(): number
  /** The next bodies meet these, one each. */
  breakNext(...faults: readonly BodyFault[]): void
  /** Answers to bodies wait for this. */
  hold(until: Promise<unknown>): void
}

interface Received {
  readonly sizeBytes: number
  readonly chunks: readonly Buffer[]
}

interface Upload {
  readonly key: string
  readonly putId: string
  readonly parts: Map<number, Received>
}

const PUT_ID = 'x-amz-meta-put-id'

export async function startCountingS3(
  rules: CountingRules,
  { keepBytes = true }: { readonly keepBytes?: boolean } = {},
): Promise<CountingS3> {
  const objects = new Map<string, StoredBody & { readonly putId: string }>()
  const uploads = new Map<string, Upload>()
  const faults: BodyFault[] = []
  let bodies = 0
  let held: Promise<unknown> = Promise.resolve()

  /** Null when it was broken off. */
  async function receive(request: IncomingMessage, response: ServerResponse): Promise<Received | null> {
    bodies += 1
    const fault = faults.shift()
    const chunks: Buffer[] = []
    let sizeBytes = 0
    let isBroken = false
    for await (const chunk of request) {
      sizeBytes += chunk.length
      if (keepBytes) chunks.push(chunk)
      if (!fault || sizeBytes < fault.afterBytes || isBroken) continue
      isBroken = true
      if (fault.how === 'flipped') chunk[0] ^= 1
      else if (fault.how === 'rst') request.socket.resetAndDestroy()
      else if (fault.how === 'fin') request.socket.destroy()
      // The rest is taken and thrown away, as a proxy does.
      else refuse(response, 503, 'SlowDown')
    }
    if (isBroken && fault?.how !== 'flipped') return null
    const announced = request.headers['x-amz-content-sha256']
    if (keepBytes && announced !== 'UNSIGNED-PAYLOAD' && announced !== sha256(chunks)) {
      refuse(response, 400, 'XAmzContentSHA256Mismatch')
      return null
    }
    await held
    return { sizeBytes, chunks }
  }

  async function put(request: IncomingMessage, response: ServerResponse, { key, query }: Target): Promise<void> {
    const received = await receive(request, response)
    if (received === null) return
    const upload = uploads.get(query.get('uploadId') ?? '')
    if (upload) upload.parts.set(Number(query.get('partNumber')), received)
    else if (query.has('uploadId')) return refuse(response, 404, 'NoSuchUpload')
    else if (objects.has(key)) return refuse(response, 412, 'PreconditionFailed')
    else {
      const { sizeBytes, chunks } = received
      const putId = String(request.headers[PUT_ID])
      objects.set(key, { sizeBytes, parts: [sizeBytes], digest: sha256(chunks), putId })
    }
    response.writeHead(200, { etag: '"e"', 'content-length': 0 }).end()
  }

  async function complete(request: IncomingMessage, response: ServerResponse, { key, query }: Target): Promise<void> {
    const listed = [...(await text(request)).matchAll(/<PartNumber>(\d+)</g)].map(([, number]) => Number(number))
    const id = query.get('uploadId') ?? ''
    const upload = uploads.get(id)
    if (!upload) return refuse(response, 404, 'NoSuchUpload')
    const parts = listed.map((number) => upload.parts.get(number) ?? { sizeBytes: Number.NaN, chunks: [] })
    const sizes = parts.map(({ sizeBytes }) => sizeBytes)
    if (listed.some((number, index) => number !== index + 1 || number > rules.maxParts)) {
      return refuse(response, 400, 'InvalidPartOrder')
    }
    if (!sizes.slice(0, -1).every((size) => size >= rules.partMinBytes)) return refuse(response, 400, 'EntityTooSmall')
    uploads.delete(id)
    const digest = sha256(parts.flatMap(({ chunks }) => chunks))
    const sizeBytes = sizes.reduce((total, size) => total + size, 0)
    objects.set(key, { sizeBytes, parts: sizes, digest, putId: upload.putId })
    response.end('<CompleteMultipartUploadResult><ETag>"e"</ETag></CompleteMultipartUploadResult>')
  }

  async function handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const target = readTarget(request.url ?? '')
    const { key, query } = target
    if (request.method === 'PUT') return await put(request, response, target)
    if (request.method === 'POST' && query.has('uploadId')) return await complete(request, response, target)
    if (request.method === 'POST') {
      const id = randomUUID()
      uploads.set(id, { key, putId: String(request.headers[PUT_ID]), parts: new Map() })
      const named = `<UploadId>${id}</UploadId>`
      return void response.end(`<InitiateMultipartUploadResult>${named}</InitiateMultipartUploadResult>`)
    }
    if (request.method === 'DELETE') {
      uploads.delete(query.get('uploadId') ?? '')
      return void response.writeHead(204).end()
    }
    const object = objects.get(key)
    if (!object && key !== '') return void response.writeHead(404).end()
    const about = object && { [PUT_ID]: object.putId, 'content-length': object.sizeBytes, etag: '"e"' }
    if (request.method === 'HEAD') return void response.writeHead(200, about).end()
    const body = Buffer.alloc(object?.sizeBytes ?? 0)
    response.writeHead(200, about).end(body)
  }

  const server = createServer((request, response) => {
    response.on('error', () => undefined)
    handle(request, response).catch(() => response.destroy())
  })
  server.on('connection', (socket) => socket.on('error', () => undefined))
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))

  return {
    endpoint: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    objects,
    openUploads: () => uploads.size,
    bodies: () => bodies,
    breakNext: (...next) => void faults.splice(0, faults.length, ...next),
    hold(until) {
      held = until
    },
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

interface Target {
  readonly key: string
  readonly query: URLSearchParams
}

function readTarget(url: string): Target {
  const { pathname, searchParams } = new URL(url, 'http://store')
  return { key: pathname.split('/').slice(2).join('/'), query: searchParams }
}

function sha256(chunks: readonly Buffer[]): string {
  const hash = createHash('sha256')
  for (const chunk of chunks) hash.update(chunk)
  return hash.digest('hex')
}

function refuse(response: ServerResponse, status: number, code: string): void {
  response.writeHead(status).end(`<Error><Code>${code}</Code></Error>`)
}
