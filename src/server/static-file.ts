import { createHash } from 'node:crypto'
import type { OutgoingHttpHeaders } from 'node:http'
import { promisify } from 'node:util'
import { brotliCompress, gzip } from 'node:zlib'
import { conditionFailed, precondition } from './conditions.ts'
import { addVary } from './http.ts'
import { accepts } from './negotiation.ts'
import type { RequestContext } from './request.ts'

/** Bytes that every client gets alike, held in each of the codings that they are sent in. */
export interface StaticFile {
  /** Names this version, in whatever coding it is sent. */
  readonly tag: string
  /** By coding, the best first; `identity` is always there. */
  readonly forms: ReadonlyMap<string, Buffer>
}

const CODERS = {
  br: promisify(brotliCompress),
  gzip: (bytes: Buffer) => promisify(gzip)(bytes, { level: 6 }),
}

/** Compresses once what is sent many times. @param codings the best first; brotli takes seconds for each MB. */
export async function createStaticFile(
  bytes: Buffer,
  codings: readonly (keyof typeof CODERS)[] = ['br', 'gzip'],
): Promise<StaticFile> {
  const coded = await Promise.all(codings.map(async (coding) => [coding, await CODERS[coding](bytes)] as const))
  const tag = createHash('sha256').update(bytes).digest('base64url')
  return { tag, forms: new Map<string, Buffer>([...coded, ['identity', bytes]]) }
}

/** Answers GET and HEAD with the file, in the best coding that the client takes, under the conditions of the request. */
export function sendStatic(
  { request, response }: RequestContext,
  { tag, forms }: StaticFile,
  head: OutgoingHttpHeaders,
): void {
  addVary(response, 'accept-encoding')
  const [coding = 'identity'] = [...forms.keys()].filter((name) => accepts(request.headers, name))
  const body = forms.get(coding) ?? Buffer.alloc(0)
  const { 'content-type': contentType, ...others } = head
  const headers = {
    ...others,
    etag: coding === 'identity' ? `"${tag}"` : `"${tag}-${coding}"`,
    'x-content-type-options': 'nosniff',
  }
  const outcome = precondition(request.headers, headers.etag)
  if (outcome === 'failed') throw conditionFailed(response)
  if (outcome === 'not modified') return void response.writeHead(304, headers).end()
  response.writeHead(200, {
    ...headers,
    ...(coding === 'identity' ? {} : { 'content-encoding': coding }),
    'content-type': contentType,
    'content-length': body.length,
  })
  response.end(request.method === 'HEAD' ? undefined : body)
}
