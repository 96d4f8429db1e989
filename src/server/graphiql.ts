import { createHash } from 'node:crypto'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { promisify } from 'node:util'
import { gzip } from 'node:zlib'
import { conditionFailed, precondition } from './conditions.ts'
import { addVary, type Handler } from './http.ts'
import { accepts } from './negotiation.ts'

/** Narrow enough for the editor of a small window. */
const DEFAULT_QUERY = `# Runs, newest first, and their last steps.
# Add "payload" to see a state in full.
query Runs {
  runs(first: 5) {
    edges {
      node {
        runId
        status
        steps(last: 2) {
          edges {
            node {
              stepId
              status
              snapshot { sizeBytes storageTier }
            }
          }
        }
      }
    }
  }
}
`

interface Page {
  readonly plain: Buffer
  readonly zipped: Buffer
  /** Names this version, in whatever coding it is sent. */
  readonly tag: string
}

/**
 * GraphiQL as one page that needs no other host: 9 MB, made and compressed on the first visit. It names no address: it posts to
 * the one it was opened at, so that a proxy may put a path in front.
 */
export function createGraphiql(): Handler {
  let made: Promise<Page> | undefined
  return async ({ request, response }) => {
    made ??= makePage()
    sendPage(request, response, await made)
  }
}

async function makePage(): Promise<Page> {
  // A third of a second for every start of the server, and few visits.
  const { renderGraphiQL } = await import('@graphql-yoga/render-graphiql')
  const plain = Buffer.from(
    renderGraphiQL({
      title: 'statelens',
      defaultQuery: DEFAULT_QUERY,
      shouldPersistHeaders: false,
    }),
  )
  const tag = createHash('sha256').update(plain).digest('base64url')
  return { plain, zipped: await promisify(gzip)(plain, { level: 6 }), tag }
}

function sendPage(request: IncomingMessage, response: ServerResponse, { plain, zipped, tag }: Page): void {
  addVary(response, 'accept, accept-encoding')
  const isZipped = accepts(request.headers, 'gzip')
  const etag = isZipped ? `"${tag}-gzip"` : `"${tag}"`
  const headers = { etag, 'cache-control': 'no-cache', 'x-content-type-options': 'nosniff' }
  const outcome = precondition(request.headers, etag)
  if (outcome === 'failed') throw conditionFailed(response)
  if (outcome === 'not modified') {
    response.writeHead(304, headers).end()
    return
  }
  const body = isZipped ? zipped : plain
  response.writeHead(200, {
    ...headers,
    ...(isZipped ? { 'content-encoding': 'gzip' } : {}),
    'content-type': 'text/html; charset=utf-8',
    'content-length': body.length,
    // The page asks nobody but the server that it came from.
    'content-security-policy':
      "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:; worker-src blob:; style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; font-src 'self' data:; connect-src 'self'; frame-ancestors 'none'",
  })
  response.end(body)
}
