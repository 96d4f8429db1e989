import type { Uploads } from '../snapshots/capture/uploads.ts'
import type { Admission } from '../snapshots/source/admission.ts'
import type { Handler } from './http.ts'
import type { Pace } from './pace.ts'
import { receiveBody } from './receive-body.ts'

export interface UploadRouteOptions {
  readonly uploads: Pick<Uploads, 'verify' | 'receive'>
  /** Bounds the uploads under way. */
  readonly admission: Admission
  /** How fast a body must come. */
  readonly senders: Pace
}

/**
 * `PUT /uploads/{uploadId}`: takes the bytes of an upload whose store cannot sign. The signed query is the sender's only right, and
 * good for these bytes alone. 204 when they are here, whether they came now or before.
 */
export function createUploadRoute({ uploads, admission, senders }: UploadRouteOptions): { readonly PUT: Handler } {
  return {
    async PUT(context) {
      const { response, query, signal } = context
      const [uploadId = ''] = context.params
      uploads.verify(query, uploadId)
      const body = receiveBody(context, senders)
      const leave = await admission.uploads.enter(signal)
      try {
        await uploads.receive(uploadId, body, signal)
        response.writeHead(204, { 'cache-control': 'no-store' }).end()
      } finally {
        leave()
      }
    },
  }
}
