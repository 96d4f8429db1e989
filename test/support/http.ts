import { type IncomingHttpHeaders, request } from 'node:http'
import { buffer } from 'node:stream/consumers'

export interface PlainRequest {
  readonly method?: string
  /** Sent as it is: it may hold what no URL parser would let through. */
  readonly target: string
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: string | Buffer
}

export interface PlainResponse {
  readonly status: number
  readonly headers: IncomingHttpHeaders
  readonly body: Buffer
}

/** One request on a connection of its own, with no header beyond Host, Connection and Content-Length but the given ones. */
export function send(origin: string, { method = 'GET', target, headers, body }: PlainRequest): Promise<PlainResponse> {
  const { hostname, port } = new URL(origin)
  const length = body === undefined ? {} : { 'content-length': String(Buffer.byteLength(body)) }
  return new Promise((resolve, reject) => {
    request({ hostname, port, method, path: target, headers: { ...length, ...headers }, agent: false }, (response) => {
      buffer(response).then(
        (bytes) => resolve({ status: response.statusCode ?? 0, headers: response.headers, body: bytes }),
        reject,
      )
    })
      .once('error', reject)
      .end(body)
  })
}

/** Codes of the errors in a GraphQL answer. */
export function codesOf({ body }: PlainResponse): readonly string[] {
  const { errors = [] }: { errors?: readonly { extensions: { code: string } }[] } = JSON.parse(body.toString())
  return errors.map(({ extensions }) => extensions.code)
}
