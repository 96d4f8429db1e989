import { addVary, type Handler } from './http.ts'
import { createStaticFile, type StaticFile, sendStatic } from './static-file.ts'

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

/**
 * GraphiQL as one page that needs no other host: 9 MB, made and compressed on the first visit. It names no address: it posts to
 * the one it was opened at, so that a proxy may put a path in front.
 */
export function createGraphiql(): Handler {
  let made: Promise<StaticFile> | undefined
  return async (context) => {
    made ??= makePage()
    addVary(context.response, 'accept')
    sendStatic(context, await made, HEADERS)
  }
}

async function makePage(): Promise<StaticFile> {
  // A third of a second for every start of the server, and few visits.
  const { renderGraphiQL } = await import('@graphql-yoga/render-graphiql')
  const page = renderGraphiQL({ title: 'statelens', defaultQuery: DEFAULT_QUERY, shouldPersistHeaders: false })
  return await createStaticFile(Buffer.from(page), ['gzip'])
}

const HEADERS = {
  'cache-control': 'no-cache',
  'content-type': 'text/html; charset=utf-8',
  // The page asks nobody but the server that it came from.
  'content-security-policy':
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:; worker-src blob:; style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; font-src 'self' data:; connect-src 'self'; frame-ancestors 'none'",
}
