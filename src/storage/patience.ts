/** A store that sends or takes less than this is not waited for. */
const SLOWEST_BYTES_PER_MS = (128 * 1024) / 1000
/** What it has beside that which the size of a body earns. */
export const GRACE_MS = 30_000

/** Milliseconds that a store has for a body of so many bytes, in either direction. */
export function transferMs(sizeBytes: number, graceMs = GRACE_MS): number {
  return graceMs + sizeBytes / SLOWEST_BYTES_PER_MS
}

export interface PatienceOptions {
  /** Milliseconds for all waiting together. */
  readonly totalMs: number
  /** Milliseconds for one wait that brings nothing. */
  readonly stallMs: number
  /** Called after each such wait, which then counts anew. */
  onStall(): void
  /** Called once. */
  onOver(): void
}

/** Measures how long somebody has waited for a store; the time in which the store waits for them is not counted. */
export interface Patience {
  /** It is the store's turn: to send bytes, or to take them. While it already is, nothing changes. */
  wait(): void
  /** It did so, and it is its turn again. */
  fed(): void
  /** It is not its turn for now. */
  rest(): void
  end(): void
}

/** One timer for a whole body, set anew only when it fires: chunks come too often to have one each. */
export function createPatience({ totalMs, stallMs, onStall, onOver }: PatienceOptions): Patience {
  let waitedMs = 0
  /** Since when the wait that is under way has brought nothing. */
  let since: number | null = null
  let timer: NodeJS.Timeout | undefined
  let isOver = false

  function look(): void {
    timer = undefined
    if (since === null) return
    const ms = performance.now() - since
    if (waitedMs + ms >= totalMs) {
      patience.end()
      onOver()
    } else if (ms >= stallMs) {
      patience.fed()
      set(0)
      onStall()
    } else set(ms)
  }

  /** @param ms that the wait under way has lasted. */
  function set(ms: number): void {
    timer = setTimeout(look, Math.ceil(Math.min(stallMs - ms, totalMs - waitedMs - ms)))
  }

  const patience: Patience = {
    wait() {
      if (since !== null || isOver) return
      since = performance.now()
      if (timer === undefined) set(0)
    },
    fed() {
      if (since === null) return
      const now = performance.now()
      waitedMs += now - since
      since = now
    },
    rest() {
      patience.fed()
      since = null
    },
    end() {
      isOver = true
      since = null
      clearTimeout(timer)
    },
  }
  return patience
}
