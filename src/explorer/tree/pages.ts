import { type Fault, faultOf, isAbort } from '../api/fault.ts'
import { type ChildPage, PAGE_ROWS, type Place, type TreeSource } from './source.ts'

const KEPT_PAGES = 50

/** Pages of children, as many as are kept; what is not there is asked for. */
export interface Pages {
  /** The child, if its page is there. */
  childOf(pointer: string, ordinal: number): Place | undefined
  faultOf(pointer: string, ordinal: number): Fault | undefined
  /** Asks for the pages that hold these children, and gives up what nobody wants any more. */
  want(wanted: readonly Wanted[]): void
  /** Asks anew for what failed. */
  retry(): void
  /** The page with this child, once it is there; undefined when it failed. */
  load(pointer: string, ordinal: number): Promise<readonly Place[] | undefined>
  dispose(): void
}

export interface Wanted {
  readonly pointer: string
  readonly ordinal: number
}

export interface PagesOptions {
  readonly source: TreeSource
  /** Told of each page that came or failed. */
  readonly onPage: (pointer: string, page: ChildPage | undefined, first: number) => void
}

interface Flight {
  readonly controller: AbortController
  readonly done: Promise<readonly Place[] | undefined>
  /** Whether somebody awaits it, wherever the window has gone. */
  readonly isAwaited: boolean
}

export function createPages({ source, onPage }: PagesOptions): Pages {
  /** In the order in which they were last used. */
  const kept = new Map<string, readonly Place[]>()
  const failed = new Map<string, Fault>()
  const flights = new Map<string, Flight>()
  let isOver = false

  const keyOf = (pointer: string, ordinal: number) => `${Math.floor(ordinal / PAGE_ROWS)} ${pointer}`

  async function fill(pointer: string, first: number, signal: AbortSignal): Promise<ChildPage> {
    const page = await source.children(pointer, first, signal)
    // A page may end early by its bytes: then its rest is asked for, so that each row has its place.
    if (!page.hasMore || page.places.length >= PAGE_ROWS || page.places.length === 0) return page
    const rest = await fill(pointer, first + page.places.length, signal)
    return { ...rest, places: [...page.places, ...rest.places].slice(0, PAGE_ROWS) }
  }

  async function fly(pointer: string, ordinal: number, controller: AbortController) {
    const key = keyOf(pointer, ordinal)
    const first = Math.floor(ordinal / PAGE_ROWS) * PAGE_ROWS
    try {
      const page = await fill(pointer, first, controller.signal)
      // What comes late for an older window, or after the end, is dropped.
      if (controller.signal.aborted || isOver) return undefined
      keep(key, page.places)
      onPage(pointer, page, first)
      return page.places
    } catch (error) {
      if (isAbort(error) || controller.signal.aborted || isOver) return undefined
      failed.set(key, faultOf(error))
      onPage(pointer, undefined, first)
      return undefined
    } finally {
      if (flights.get(key)?.controller === controller) flights.delete(key)
    }
  }

  function keep(key: string, places: readonly Place[]): void {
    kept.delete(key)
    kept.set(key, places)
    for (const oldest of kept.keys()) {
      if (kept.size <= KEPT_PAGES) break
      kept.delete(oldest)
    }
  }

  function start({ pointer, ordinal }: Wanted, isAwaited: boolean): Flight {
    const controller = new AbortController()
    const flight = { controller, done: fly(pointer, ordinal, controller), isAwaited }
    flights.set(keyOf(pointer, ordinal), flight)
    return flight
  }

  return {
    childOf: (pointer, ordinal) => kept.get(keyOf(pointer, ordinal))?.[ordinal % PAGE_ROWS],
    faultOf: (pointer, ordinal) => failed.get(keyOf(pointer, ordinal)),
    want(wanted) {
      const keys = new Set(wanted.map(({ pointer, ordinal }) => keyOf(pointer, ordinal)))
      for (const [key, { controller, isAwaited }] of flights) {
        if (keys.has(key) || isAwaited) continue
        controller.abort()
        flights.delete(key)
      }
      for (const one of wanted) {
        const key = keyOf(one.pointer, one.ordinal)
        const places = kept.get(key)
        if (places) keep(key, places)
        else if (!flights.has(key) && !failed.has(key)) start(one, false)
      }
    },
    retry: () => failed.clear(),
    async load(pointer, ordinal) {
      const key = keyOf(pointer, ordinal)
      const found = kept.get(key)
      if (found) return found
      failed.delete(key)
      flights.get(key)?.controller.abort()
      return await start({ pointer, ordinal }, true).done
    },
    dispose() {
      isOver = true
      for (const { controller } of flights.values()) controller.abort()
    },
  }
}
