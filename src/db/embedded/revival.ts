import { setTimeout as delay } from 'node:timers/promises'
import { accepts, type Postmaster, type SpawnOptions, spawnPostmaster } from './postmaster.ts'

export interface Revival {
  /** Told when the server has died, and nobody had asked it to end. */
  died(): void
  /** Told when clients are let in again. */
  isBack(): void
}

export interface KeepRunningOptions {
  /** How it was started. */
  readonly start: SpawnOptions
  readonly url: string
  readonly revival: Revival
}

const FIRST_PAUSE_MS = 100
/** A cluster that cannot be started, as its disk is full, is tried again so often. */
const LONGEST_PAUSE_MS = 5000

/**
 * Starts a server again whenever it dies: what it had committed is recovered, and its clients find it where it was.
 * @returns what stops it for good. Resolves when none runs any more.
 */
export function keepRunning(first: Postmaster, options: KeepRunningOptions): () => Promise<void> {
  const { revival } = options
  const stopping = new AbortController()
  const { signal } = stopping
  let current = first

  async function watchOver(): Promise<void> {
    for (;;) {
      await current.ended
      if (signal.aborted) return
      revival.died()
      await revive()
      if (signal.aborted) return
      revival.isBack()
    }
  }

  async function revive(): Promise<void> {
    for (let pauseMs = FIRST_PAUSE_MS; !signal.aborted; pauseMs = Math.min(2 * pauseMs, LONGEST_PAUSE_MS)) {
      if (await startAgain()) return
      await delay(pauseMs, undefined, { signal }).catch(() => {})
    }
  }

  /** False also where what the dead one left, its processes and its memory, is not gone yet. */
  async function startAgain(): Promise<boolean> {
    try {
      current = await spawnPostmaster({ ...options.start, stalePid: null, keepsLog: true })
      // Told to stop meanwhile.
      if (signal.aborted) await current.stop()
      return await accepts(current, options.url)
    } catch {
      return false
    }
  }

  const watching = watchOver()
  return async () => {
    stopping.abort()
    await current.stop()
    await watching
  }
}
