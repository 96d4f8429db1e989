import { unlessAborted } from '../../abort.ts'
import type { Gate } from './gate.ts'

/** What a load was given to work with. */
export interface Flight {
  /** Fires when nobody waits for the load or holds what it gave. */
  readonly signal: AbortSignal
  /** Takes room for so many bytes, until the last holder lets go. @throws AppError `OVERLOADED`. */
  reserve(sizeBytes: number): Promise<void>
}

export interface Held<T> {
  readonly value: T
  /** Lets go of it; to be called when its last byte has left. Calling it again does nothing. */
  release(): void
}

export interface FlightOptions {
  /** Fires when this caller goes; the load goes on for the others. */
  readonly signal?: AbortSignal | undefined
  /** Whether whoever comes while the value is held gets it too; otherwise only who comes while it is loaded. */
  readonly isShared: boolean
}

/**
 * Loads that are asked for at the same time are done once, and what they hold of memory is counted once, for as long as somebody
 * holds it. A failure reaches those who waited for it, and nobody after them.
 */
export interface HeldFlights<T> {
  /** Whether somebody loads or holds it now. */
  isHeld(key: string): boolean
  /** @param key null: this caller wants one of its own. @throws what the load throws; the signal's reason. */
  run(key: string | null, load: (flight: Flight) => Promise<T>, options: FlightOptions): Promise<Held<T>>
}

interface Entry<T> {
  readonly result: Promise<T>
  readonly controller: AbortController
  leave(): void
  holders: number
}

/** @param memory weighs bytes. Less than `freeBytes` needs no room. */
export function createHeldFlights<T>(memory: Gate, freeBytes: number): HeldFlights<T> {
  const entries = new Map<string, Entry<T>>()

  function start(key: string | null, load: (flight: Flight) => Promise<T>, isShared: boolean): Entry<T> {
    const controller = new AbortController()
    const { signal } = controller
    let free = () => {}
    const reserve = async (sizeBytes: number) => {
      if (sizeBytes <= freeBytes) return
      const leave = await memory.enter(signal, sizeBytes)
      if (signal.aborted) leave()
      else free = leave
    }
    const result = Promise.try(load, { signal, reserve })
    const entry: Entry<T> = { result, controller, holders: 0, leave: () => free() }
    const forget = () => {
      if (key !== null && entries.get(key) === entry) entries.delete(key)
    }
    controller.signal.addEventListener('abort', forget, { once: true })
    result.then(isShared ? () => {} : forget, forget)
    if (key !== null) entries.set(key, entry)
    return entry
  }

  function drop(entry: Entry<T>): void {
    entry.holders -= 1
    if (entry.holders > 0) return
    entry.controller.abort(new Error('nobody holds it any more'))
    entry.leave()
  }

  return {
    isHeld: (key) => entries.has(key),
    async run(key, load, { signal, isShared }) {
      signal?.throwIfAborted()
      const entry = (key === null ? undefined : entries.get(key)) ?? start(key, load, isShared)
      entry.holders += 1
      let isHeld = true
      const release = () => {
        if (isHeld) drop(entry)
        isHeld = false
      }
      try {
        return { value: await unlessAborted(entry.result, signal), release }
      } catch (error) {
        release()
        throw error
      }
    },
  }
}
