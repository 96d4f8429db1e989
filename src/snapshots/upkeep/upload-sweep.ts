import type { Database } from '../../db/connect.ts'
import { type DueUpload, forgetUpload, takeDueUploads } from '../../db/queries/uploads.ts'
import type { Storage } from '../../storage/registry.ts'

const BATCH = 100

export interface UploadSweepOptions {
  readonly db: Database
  readonly storage: Storage
  readonly graceSeconds: number
  readonly onProblem: (error: unknown) => void
  /** Whether to end before all is done. */
  readonly isStopped: () => boolean
}

/**
 * Forgets uploads whose time is over, with the parts that have arrived of them. The objects that they leave are given up, and are
 * the next thing to be swept. What the store refuses comes up again later.
 */
export async function sweepUploads({ db, storage, graceSeconds, onProblem, isStopped }: UploadSweepOptions) {
  for (let taken = BATCH; taken === BATCH && !isStopped(); ) {
    const uploads = await takeDueUploads(db, { graceSeconds, limit: BATCH })
    taken = uploads.length
    for (const upload of uploads) {
      try {
        await abortParts(storage, upload)
        await forgetUpload(db, upload.uploadId)
      } catch (error) {
        onProblem(error)
      }
    }
  }
}

async function abortParts(storage: Storage, upload: DueUpload): Promise<void> {
  if (upload.storageUri === null || upload.state === 'committed') return
  const { backend, uri } = storage.resolve(upload.storageUri)
  await backend.directUploads?.abort(uri, upload)
}
