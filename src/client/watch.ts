import type { Api } from './api.ts'
import { isRecord, StatelensError } from './errors.ts'
import { isPassing, pauseAfter, withRetries } from './retry.ts'
import { createDoubles, RUN_EVENTS, RUN_FIELDS, type RunEvent, readRunEvent, type WatchedRun } from './run-events.ts'

export interface WatchOptions {
  /** Cursor of the last event that is known; left out: the whole history first. */
  readonly after?: string | undefined
  /** Ends it, whatever it is doing, with the signal's reason. */
  readonly signal?: AbortSignal | undefined
  /** How many attempts in a row may fail; default: any number, as long as they may succeed later. */
  readonly retries?: number | undefined
  /** Told when the connection is lost, before the next attempt. */
  readonly onReconnect?: ((error: StatelensError) => void) | undefined
}

const ENDED: ReadonlySet<string> = new Set(['SUCCEEDED', 'FAILED', 'CANCELED', 'TIMED_OUT'])

/** The events of a run until its end, over as many connections as it takes. */
export async function* watchRun(api: Api, runId: string, options: WatchOptions): AsyncGenerator<RunEvent, void> {
  const { signal, retries = Number.POSITIVE_INFINITY, onReconnect } = options
  let { after } = options
  let failures = 0
  let isLive = false
  const isDouble = createDoubles()
  for (;;) {
    try {
      const variables = JSON.stringify({ runId, after })
      for await (const value of api.events({ query: RUN_EVENTS, variables, signal })) {
        const event = readRunEvent(value)
        failures = 0
        after = event.cursor
        if (isDouble(event) || (event.type === 'CaughtUp' && isLive)) continue
        isLive ||= event.type === 'CaughtUp'
        yield event
        if (event.type === 'RunEnded') return
      }
      return
    } catch (error) {
      failures += 1
      if (!isPassing(error) || failures > retries) throw error
      onReconnect?.(error)
      await pauseAfter(error, failures, signal)
    }
  }
}

/** @throws StatelensError `NOT_FOUND` when the run is deleted before it ends. */
export async function waitForRun(api: Api, runId: string, options: WatchOptions): Promise<WatchedRun> {
  const { signal, retries = Number.POSITIVE_INFINITY } = options
  // One that is over need not be read from its beginning.
  const query = `query($runId: String!) { run(runId: $runId) { ${RUN_FIELDS} } }`
  const known = await withRetries(() => api.graphql({ query, variables: JSON.stringify({ runId }), signal }), {
    retries,
    signal,
  })
  if (isRecord(known) && ENDED.has(String(known['status']))) return known as unknown as WatchedRun
  for await (const event of watchRun(api, runId, options)) {
    if (event.type === 'RunEnded' && event.run) return event.run
  }
  throw new StatelensError('NOT_FOUND', 'The run was deleted')
}
