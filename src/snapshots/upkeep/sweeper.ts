import type { Database } from '../../db/connect.ts'
import { forgetObject, takeDoomedObjects } from '../../db/queries/objects.ts'
import type { Storage } from '../../storage/registry.ts'
import { sweepDeletions } from './deletion-sweep.ts'
import { sweepUploads } from './upload-sweep.ts'

export interface SweepReport {
  readonly deletedObjects: number
  /** Objects whose store refused or did not answer; they come up again later. */
  readonly failedObjects: number
}

/** Deletes the bytes that no snapshot names any more: of deleted snapshots, and of captures and uploads that never finished. */
export interface Sweeper {
  /** One pass over all that is due. Several sweepers at once share the work. */
  sweep(): Promise<SweepReport>
  /** Begins a pass in the background, unless one is under way. */
  wake(): void
  /** Ends the timer and waits for the pass that is under way. */
  stop(): Promise<void>
}

export interface SweeperOptions {
  readonly db: Database
  readonly storage: Storage
  /** How long a capture may take before its object counts as abandoned, and an upload after its ticket's end; default one hour. */
  readonly graceSeconds?: number
  /** Seconds between passes; default 60. */
  readonly intervalSeconds?: number
  readonly onProblem: (error: unknown) => void
}

const BATCH = 100

export function createSweeper(options: SweeperOptions): Sweeper {
  const { db, storage, graceSeconds = 3600, intervalSeconds = 60, onProblem } = options
  let running: Promise<unknown> | undefined
  let again = false
  let stopped = false
  const stopping = new AbortController()

  async function sweep(): Promise<SweepReport> {
    const report = { deletedObjects: 0, failedObjects: 0 }
    await sweepDeletions({ db, signal: stopping.signal }).catch(onProblem)
    await sweepUploads({ db, storage, graceSeconds, onProblem, isStopped: () => stopped })
    for (let taken = BATCH; taken === BATCH && !stopped; ) {
      const uris = await takeDoomedObjects(db, { graceSeconds, limit: BATCH })
      taken = uris.length
      for (const uri of uris) {
        const gone = await erase(uri)
        report[gone ? 'deletedObjects' : 'failedObjects']++
      }
    }
    return report
  }

  async function erase(storageUri: string): Promise<boolean> {
    try {
      const { backend, uri } = storage.resolve(storageUri)
      await backend.delete(uri)
      await forgetObject(db, storageUri)
      return true
    } catch (error) {
      onProblem(error)
      return false
    }
  }

  function wake(): void {
    if (stopped) return
    if (running) {
      again = true
      return
    }
    running = sweep()
      .catch(onProblem)
      .finally(() => {
        running = undefined
        if (again) {
          again = false
          wake()
        }
      })
  }

  const timer = setInterval(wake, intervalSeconds * 1000)
  timer.unref()

  return {
    sweep,
    wake,
    async stop() {
      stopped = true
      stopping.abort()
      clearInterval(timer)
      await running
    },
  }
}
