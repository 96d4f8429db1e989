import { isUint8Array } from 'node:util/types'
import { S3Client } from '@aws-sdk/client-s3'
import { createOriginBreakers } from './origin-breakers.ts'
import { createRetryStrategy } from './retry.ts'
import { createS3Transport, type SocketState } from './transport.ts'

/** Errors and small answers are read whole by the SDK: more than this of one is thrown away unread. */
const MAX_BUFFERED_BYTES = 64 * 1024
/** The same for lists of what a command asks a hundred of: their keys are up to 1 KiB, and more when they are escaped. */
const MAX_LIST_BYTES = 1024 * 1024
const LISTS = new Set<unknown>([
  'DeleteObjectsCommand',
  'ListMultipartUploadsCommand',
  'ListObjectsV2Command',
  'ListObjectVersionsCommand',
])
const MAX_ATTEMPTS = 3
const RETRY_BUDGET = 25
const READ_SOCKETS = 192
const WRITE_SOCKETS = 72
const CONTROL_SOCKETS = 32

export interface S3Connection {
  readonly region: string
  /** Left out for AWS itself. */
  readonly endpointUrl?: string
  /** Origin that signed URLs carry; the endpoint when left out. */
  readonly publicEndpointUrl?: string
  /** Both keys, or neither: then the SDK's own credential chain is asked. */
  readonly accessKey?: string
  readonly secretKey?: string
  /** Bucket in the path and not in the host; by default where an endpoint is given. */
  readonly forcePathStyle?: boolean
  /** Most connections for bodies that come out of the store; 192 when left out. */
  readonly readSockets?: number
  /** Most connections for bodies that go into it; 72 when left out. */
  readonly writeSockets?: number
  /** Given, once for each use of sockets, what tells how they stand. */
  readonly onSockets?: (use: 'read' | 'write' | 'control', state: () => SocketState) => void
  /** Told when nothing is sent to the store any more, and when it is again. */
  readonly onBreaker?: ((isOpen: boolean) => void) | undefined
}

/** Sockets of their own for each, and a retry budget: none of them can use up another's. */
export interface S3Clients {
  /** Bodies that come out of the store. */
  readonly read: S3Client
  /** The same, by the same sockets, for who tries again by himself: each request is sent once. */
  readonly readOnce: S3Client
  /** Bodies that go into it, and copies within it. */
  readonly write: S3Client
  /** Small requests. */
  readonly control: S3Client
  /** Knows the public endpoint; sends nothing. */
  readonly signing: S3Client
  close(): void
}

export function createS3Clients(connection: S3Connection): S3Clients {
  const { endpointUrl, publicEndpointUrl = endpointUrl } = connection
  const { readSockets = READ_SOCKETS, writeSockets = WRITE_SOCKETS } = connection
  const breakers = createOriginBreakers(connection.onBreaker)
  const endpoint = endpointUrl
  const sockets = (maxSockets: number, use?: 'read' | 'write' | 'control') =>
    createS3Transport({ maxSockets, breakers, onSockets: (state) => use && connection.onSockets?.(use, state) })
  const reading = sockets(readSockets, 'read')
  const clients = {
    read: createClient(connection, { endpoint, transport: reading }),
    readOnce: createClient(connection, { endpoint, transport: reading, maxAttempts: 1 }),
    write: createClient(connection, { endpoint, transport: sockets(writeSockets, 'write') }),
    control: createClient(connection, { endpoint, transport: sockets(CONTROL_SOCKETS, 'control') }),
    signing: createClient(connection, { endpoint: publicEndpointUrl, transport: sockets(1) }),
  }
  shareClock(Object.values(clients))
  return {
    ...clients,
    close() {
      breakers.close()
      for (const client of Object.values(clients)) client.destroy()
    },
  }
}

/** The SDK learns from each answer how wrong this machine's clock is: what one client learns, all of them sign by. */
function shareClock(clients: readonly S3Client[]): void {
  let offsetMs = 0
  for (const { config } of clients) {
    Object.defineProperty(config, 'systemClockOffset', {
      get: () => offsetMs,
      set: (value: number) => {
        offsetMs = value
      },
    })
  }
}

interface ClientOptions {
  readonly endpoint: string | undefined
  readonly transport: ReturnType<typeof createS3Transport>
  readonly maxAttempts?: number
}

function createClient(connection: S3Connection, options: ClientOptions): S3Client {
  const { endpoint, transport, maxAttempts = MAX_ATTEMPTS } = options
  const { region, accessKey, secretKey, forcePathStyle = endpoint !== undefined } = connection
  const client = new S3Client({
    region,
    endpoint,
    forcePathStyle,
    credentials: accessKey && secretKey ? { accessKeyId: accessKey, secretAccessKey: secretKey } : undefined,
    // The settings alone say where requests go: nothing in a URI, an answer or the environment leads elsewhere.
    ignoreConfiguredEndpointUrls: true,
    followRegionRedirects: false,
    useArnRegion: false,
    disableMultiregionAccessPoints: true,
    // Older stores refuse the framing that checksums of streams need.
    requestChecksumCalculation: 'WHEN_REQUIRED',
    responseChecksumValidation: 'WHEN_REQUIRED',
    expectContinueHeader: false,
    maxAttempts,
    retryStrategy: createRetryStrategy({ maxAttempts, budget: RETRY_BUDGET }),
    requestHandler: transport,
    logger: SILENT,
  })
  client.middlewareStack.add(limitBufferedBodies, { step: 'deserialize', priority: 'low', name: 'limitBufferedBodies' })
  return client
}

type Middleware = Parameters<S3Client['middlewareStack']['add']>[0]

/** Innermost of all: sees an answer before the SDK reads it whole, parses it as XML, and tries again. */
const limitBufferedBodies: Middleware = (next, context) => async (args) => {
  const result = await next(args)
  const response = result.response
  if (!isResponse(response)) return result
  const name = context['commandName']
  const isDownload = name === 'GetObjectCommand' && response.statusCode < 300
  if (isDownload || !isStream(response.body)) return result
  const body = await readAtMost(response.body, LISTS.has(name) ? MAX_LIST_BYTES : MAX_BUFFERED_BYTES)
  response.body = body
  // Begun with 200, it may still say that it failed, for whatever was asked: as with 503, the SDK then reads why, and asks again.
  if (response.statusCode < 300 && ERROR_DOCUMENT.test(body.toString('latin1'))) response.statusCode = 503
  return result
}

/** A store that takes long keeps its connection open by white space, before the document and after. */
const ERROR_DOCUMENT = /^\s*(?:<\?xml[^>]*>\s*)?<Error[\s>]/

interface Response {
  statusCode: number
  body: unknown
}

function isResponse(value: unknown): value is Response {
  return typeof value === 'object' && value !== null && 'statusCode' in value && 'body' in value
}

function isStream(body: unknown): body is AsyncIterable<Uint8Array> {
  return typeof body === 'object' && body !== null && Symbol.asyncIterator in body && !isUint8Array(body)
}

/** All of the body, or nothing when it is longer: the status then has to tell. Leaving the loop destroys the stream. */
async function readAtMost(body: AsyncIterable<Uint8Array>, maxBytes: number): Promise<Buffer> {
  const chunks: Uint8Array[] = []
  let length = 0
  for await (const chunk of body) {
    length += chunk.length
    if (length > maxBytes) return Buffer.alloc(0)
    chunks.push(chunk)
  }
  return Buffer.concat(chunks)
}

const silent = (): void => undefined
/** The SDK would write warnings about failed requests to the console: the errors that we throw say the same. */
const SILENT = { trace: silent, debug: silent, info: silent, warn: silent, error: silent }
