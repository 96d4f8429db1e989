import type { Uploads } from '../snapshots/capture/uploads.ts'
import type { Admission } from '../snapshots/source/admission.ts'
import { readLength, requireJson } from './capture-route.ts'
import type { Handler } from './http.ts'
import { uploadOf } from './upload.ts'

const IDLE_MILLIS = 30_000

export interface UploadRouteOptions {
  readonly uploads: Pick<Uploads, 'verify' | 'receive'>
  /** Bounds the uploads under way. */
  readonly admission: Admission
  /** How long a sender may send nothing. */
  readonly idleMillis?: number
}

/**
 * `PUT /uploads/{uploadId}`: takes the bytes of an upload whose store cannot sign. The signed query is the sender's only right, and
 * good for these bytes alone. 204 when they are here, whether they came now or before.
 */
export function createUploadRoute({ uploads, admission, idleMillis = IDLE_MILLIS }: UploadRouteOptions): {
  readonly PUT: Handler
} {
  return {
    async PUT({ request, response, query, params: [uploadId = ''], signal }) {
      const { headers } = request
      uploads.verify(query, uploadId)
      requireJson(headers)
      const sizeBytes = readLength(headers)
      const onStart = () => {
        if (headers.expect !== undefined) response.writeContinue()
      }
      const leave = await admission.uploads.enter(signal)
      try {
        const chunks = uploadOf(request, { idleMillis, onStart })
        await uploads.receive(uploadId, { chunks, sizeBytes }, signal)
        response.writeHead(204, { 'cache-control': 'no-store' }).end()
      } finally {
        leave()
      }
    },
  }
}
