import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/** What one run of a bench started: all of it is ended, last first, when the work is done, has failed or is interrupted. */
export interface Session {
  /** Registers what ends a thing; after an interruption it is ended at once. */
  defer(end: () => Promise<unknown>): Promise<void>
  /** A new folder, removed in the end. */
  folder(): Promise<string>
  /** @throws Error after an interruption, so that nothing new is begun. */
  throwIfOver(): void
}

const SIGNALS = ['SIGINT', 'SIGTERM'] as const

/** Runs the work to its end. Ctrl-C and SIGTERM end what was started, and then the process. */
export async function withSession(work: (session: Session) => Promise<void>): Promise<void> {
  const ends: (() => Promise<unknown>)[] = []
  let over = false
  const endAll = async () => {
    for (let end = ends.pop(); end; end = ends.pop()) await end().catch(() => {})
  }
  const session: Session = {
    async defer(end) {
      ends.push(end)
      if (over) await endAll()
    },
    async folder() {
      const path = await mkdtemp(join(tmpdir(), 'statelens-bench-'))
      await session.defer(() => rm(path, { recursive: true, force: true, maxRetries: 5 }))
      return path
    },
    throwIfOver() {
      if (over) throw new Error('Interrupted')
    },
  }
  const stop = () => {
    over = true
    process.exitCode = 130
    // With its servers gone the work fails soon; what it was still starting is ended as soon as it is there.
    void endAll()
    setTimeout(() => process.exit(130), 15_000).unref()
  }
  for (const signal of SIGNALS) process.once(signal, stop)
  try {
    await work(session)
  } catch (error) {
    if (!over) throw error
  } finally {
    await endAll()
    for (const signal of SIGNALS) process.off(signal, stop)
  }
}
