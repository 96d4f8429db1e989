import { isUint8Array } from 'node:util/types'
import { S3Client } from '@aws-sdk/client-s3'
import { createRetryStrategy } from './retry.ts'
import { createS3Transport } from './transport.ts'

/** Errors and small answers are read whole by the SDK: more than this of one is thrown away unread. */
const MAX_BUFFERED_BYTES = 64 * 1024
const MAX_ATTEMPTS = 3
const RETRY_BUDGET = 25
const DATA_SOCKETS = 64
const CONTROL_SOCKETS = 16

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
}

export interface S3Clients {
  /** Bodies, both ways. */
  readonly data: S3Client
  /** Small requests, with sockets of their own, so that full streams cannot hold them up. */
  readonly control: S3Client
  /** Knows the public endpoint; sends nothing. */
  readonly signing: S3Client
  close(): void
}

export function createS3Clients(connection: S3Connection): S3Clients {
  const { endpointUrl, publicEndpointUrl = endpointUrl } = connection
  const data = createClient(connection, { endpoint: endpointUrl, maxSockets: DATA_SOCKETS })
  const control = createClient(connection, { endpoint: endpointUrl, maxSockets: CONTROL_SOCKETS })
  const signing = createClient(connection, { endpoint: publicEndpointUrl, maxSockets: 1 })
  return {
    data,
    control,
    signing,
    close() {
      for (const client of [data, control, signing]) client.destroy()
    },
  }
}

interface ClientOptions {
  readonly endpoint: string | undefined
  readonly maxSockets: number
}

function createClient(connection: S3Connection, { endpoint, maxSockets }: ClientOptions): S3Client {
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
    maxAttempts: MAX_ATTEMPTS,
    retryStrategy: createRetryStrategy({ maxAttempts: MAX_ATTEMPTS, budget: RETRY_BUDGET }),
    requestHandler: createS3Transport({ maxSockets }),
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
  const isDownload = context['commandName'] === 'GetObjectCommand' && response.statusCode < 300
  if (!isDownload && isStream(response.body)) response.body = await readAtMost(response.body, MAX_BUFFERED_BYTES)
  return result
}

interface Response {
  readonly statusCode: number
  body: unknown
}

function isResponse(value: unknown): value is Response {
  return typeof value === 'object' && value !== null && 'statusCode' in value && 'body' in value
}

function isStream(body: unknown): body is AsyncIterable<Uint8Array> {
  return typeof body === 'object' && body !== null && Symbol.asyncIterator in body && !isUint8Array(body)
}

/** All of the body, or nothing when it is longer: the status then has to tell. Leaving the loop destroys the stream. */
async function readAtMost(body: AsyncIterable<Uint8Array>, maxBytes: number): Promise<Uint8Array> {
  const chunks: Uint8Array[] = []
  let length = 0
  for await (const chunk of body) {
    length += chunk.length
    if (length > maxBytes) return new Uint8Array()
    chunks.push(chunk)
  }
  return Buffer.concat(chunks)
}

const silent = (): void => undefined
/** The SDK would write warnings about failed requests to the console: the errors that we throw say the same. */
const SILENT = { trace: silent, debug: silent, info: silent, warn: silent, error: silent }
