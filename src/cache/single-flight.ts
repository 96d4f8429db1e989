/** Loads that are asked for at the same time are done once. Nothing is kept after a load has ended, neither value nor failure. */
export interface SingleFlight<T> {
  /**
   * Joins the load that is under way for the key, or starts one.
   * @param load gets a signal of its own, which fires when every caller has gone before the load ended.
   * @param signal lets this caller go, with the signal's reason; the load goes on for the others.
   * @throws whatever the shared load rejects with, to each of its callers.
   */
  run(key: string, load: (signal: AbortSignal) => Promise<T>, signal?: AbortSignal): Promise<T>
}

interface Flight<T> {
  readonly result: Promise<T>
  readonly controller: AbortController
  callers: number
  landed: boolean
}

export function createSingleFlight<T>(): SingleFlight<T> {
  const flights = new Map<string, Flight<T>>()

  function start(key: string, load: (signal: AbortSignal) => Promise<T>): Flight<T> {
    const controller = new AbortController()
    const result = Promise.try(load, controller.signal)
    const flight: Flight<T> = { result, controller, callers: 0, landed: false }
    const land = () => {
      flight.landed = true
      forget(key, flight)
    }
    result.then(land, land)
    flights.set(key, flight)
    return flight
  }

  /** A flight that was given up may land after the next one of its key has started. */
  function forget(key: string, flight: Flight<T>): void {
    if (flights.get(key) === flight) flights.delete(key)
  }

  return {
    async run(key, load, signal) {
      signal?.throwIfAborted()
      const flight = flights.get(key) ?? start(key, load)
      flight.callers += 1
      try {
        return await (signal ? untilAborted(flight.result, signal) : flight.result)
      } finally {
        flight.callers -= 1
        if (flight.callers === 0 && !flight.landed) {
          forget(key, flight)
          flight.controller.abort(signal?.reason)
        }
      }
    },
  }
}

async function untilAborted<T>(result: Promise<T>, signal: AbortSignal): Promise<T> {
  const aborted = Promise.withResolvers<never>()
  const leave = () => aborted.reject(signal.reason)
  signal.addEventListener('abort', leave, { once: true })
  try {
    return await Promise.race([result, aborted.promise])
  } finally {
    signal.removeEventListener('abort', leave)
  }
}
