import type { Registry } from 'prom-client'
import { ERRORS } from '../errors.ts'
import type { AnsweredRequest, Telemetry } from '../telemetry/telemetry.ts'
import { createBounded } from './bounded.ts'
import { type Counter, createCounters, createHistograms } from './series.ts'

/** Names of operations that have series of their own; those that come later share one. */
export const OPERATION_NAMES_MAX = 100
const METHODS = new Set(['GET', 'HEAD', 'POST', 'PUT', 'OPTIONS'])

/** What comes in by HTTP, and what is asked in GraphQL. */
export function createRequestMetrics(
  registry: Registry,
): Pick<Telemetry, 'requestBegan' | 'requestEnded' | 'operation' | 'failed'> & { inFlight(): number } {
  const requests = createCounters(registry, {
    name: 'statelens_http_requests_total',
    help: 'Requests that have ended, by route, method and status; status 0: the client left before.',
  })
  const durations = createHistograms(registry, {
    name: 'statelens_http_request_duration_seconds',
    help: 'From the head of a request to the end of its answer, by route. Streams of events are left out.',
  })
  const cut = createCounters(registry, {
    name: 'statelens_http_answers_cut_total',
    help: 'Answers of which the client has less than all, by route.',
  })
  const operations = createCounters(registry, {
    name: 'statelens_graphql_operations_total',
    help: 'Operations executed, by name, type and outcome: ok, partial (data and errors), failed (errors alone).',
  })
  const executions = createHistograms(registry, {
    name: 'statelens_graphql_operation_duration_seconds',
    help: 'Execution of operations, without the sending of large payloads; of a subscription, its beginning.',
  })
  const failures = createCounters(registry, {
    name: 'statelens_errors_total',
    help: 'Failures that clients were told of, by code.',
  })
  // From the start: of what was never seen before nobody can tell that it has become more.
  for (const code of Object.keys(ERRORS)) failures({ code })
  const boundedName = createBounded(OPERATION_NAMES_MAX)
  const routes = new Map<string, RouteSeries>()
  let inFlight = 0

  function seriesOf(route: string): RouteSeries {
    const known = routes.get(route)
    if (known) return known
    const made = { durations: durations({ route }), cut: cut({ route }), requests: new Map() }
    routes.set(route, made)
    return made
  }

  function counterOf({ route, method, status }: AnsweredRequest, byMethod: RouteSeries['requests']): Counter {
    const kind = METHODS.has(method) ? method : 'other'
    const known = byMethod.get(kind)?.get(status)
    if (known) return known
    const made = requests({ route, method: kind, status: String(status) })
    byMethod.set(kind, (byMethod.get(kind) ?? new Map<number, Counter>()).set(status, made))
    return made
  }

  return {
    inFlight: () => inFlight,
    requestBegan() {
      inFlight++
    },
    requestEnded(answered) {
      inFlight--
      const series = seriesOf(answered.route)
      counterOf(answered, series.requests).add(1)
      if (answered.seconds !== undefined) series.durations.observe(answered.seconds)
      if (answered.isCut) series.cut.add(1)
    },
    operation(name, type) {
      const labels = { operation: boundedName(name), type }
      const duration = executions(labels)
      const outcomes = {
        ok: operations({ ...labels, outcome: 'ok' }),
        partial: operations({ ...labels, outcome: 'partial' }),
        failed: operations({ ...labels, outcome: 'failed' }),
      }
      return (seconds, outcome) => {
        duration.observe(seconds)
        outcomes[outcome].add(1)
      }
    },
    failed: (code) => failures({ code }).add(1),
  }
}

interface RouteSeries {
  readonly durations: ReturnType<ReturnType<typeof createHistograms>>
  readonly cut: Counter
  /** By method, then by status. */
  readonly requests: Map<string, Map<number, Counter>>
}
