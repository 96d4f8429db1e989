import { openAsBlob } from 'node:fs'
import { createClient } from '../../src/client/client.ts'

/*
 * A producer in a process of its own, for `bench/upload.ts`: uploads a file when it is told to. It tells its parent when it is
 * ready, how far it is, and what was stored.
 */

export interface UploadOrder {
  readonly url: string
  readonly path: string
  readonly snapshotId: string
  readonly ticketSeconds: number
}

export type UploadNews =
  | { readonly what: 'ready' }
  | { readonly what: 'sent'; readonly sentBytes: number }
  | { readonly what: 'stored'; readonly digest: string; readonly seconds: number }

const tell = (news: UploadNews) => process.send?.(news)

/** Often enough to see where half of it is. */
const STEP_BYTES = 16 * 2 ** 20

async function upload({ url, path, snapshotId, ticketSeconds }: UploadOrder): Promise<void> {
  const client = createClient({ url, ticketSeconds, directMinBytes: 1 })
  let told = 0
  const begin = performance.now()
  const onProgress = ({ sentBytes }: { readonly sentBytes: number }) => {
    if (sentBytes - told < STEP_BYTES) return
    told = sentBytes
    tell({ what: 'sent', sentBytes })
  }
  const blob = await openAsBlob(path)
  const { digest } = await client.capture({ runId: 'bench', stepId: 'upload', snapshotId }, { blob }, { onProgress })
  tell({ what: 'stored', digest, seconds: (performance.now() - begin) / 1000 })
}

process.on('message', (order) => void upload(order as UploadOrder))
// A parent that is gone needs nothing any more.
process.once('disconnect', () => process.exit(0))
tell({ what: 'ready' })
