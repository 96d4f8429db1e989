import type { Handler } from './http.ts'

/** What has been collected, as text. */
export interface CollectedMetrics {
  readonly mediaType: string
  format(): Promise<string>
}

/** `GET` and `HEAD /metrics`, for Prometheus. */
export function createMetricsRoute({ mediaType, format }: CollectedMetrics): {
  readonly GET: Handler
  readonly HEAD: Handler
} {
  const handler: Handler = async ({ request, response }) => {
    const text = Buffer.from(await format())
    response.writeHead(200, {
      'content-type': mediaType,
      'content-length': text.length,
      'cache-control': 'no-store',
    })
    response.end(request.method === 'HEAD' ? undefined : text)
  }
  return { GET: handler, HEAD: handler }
}
