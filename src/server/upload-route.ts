import type { Uploads } from '../snapshots/capture/uploads.ts'
import type { Handler } from './http.ts'
import type { Pace } from './pace.ts'
import { receiveBody } from './receive-body.ts'

export interface UploadRouteOptions {
  readonly uploads: Pick<Uploads, 'verify' | 'receive'>
  /** How fast a body must come. */
  readonly senders: Pace
}

/**
 * `PUT /uploads/{uploadId}`: takes the bytes of an upload whose store cannot sign. The signed query is the sender's only right, and
 * good for these bytes alone. 204 when they are here, whether they came now or before.
 */
export function createUploadRoute({ uploads, senders }: UploadRouteOptions): { readonly PUT: Handler } {
  return {
    async PUT(context) {
      const { response, query, signal } = context
      const [uploadId = ''] = context.params
      uploads.verify(query, uploadId)
      await uploads.receive(uploadId, receiveBody(context, senders), signal)
      response.writeHead(204, { 'cache-control': 'no-store' }).end()
    },
  }
}
