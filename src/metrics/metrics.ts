import { AggregatorRegistry, Registry } from 'prom-client'
import type { Telemetry } from '../telemetry/telemetry.ts'
import { processRegistry } from './process.ts'
import { createRequestMetrics } from './requests.ts'
import { createStateMetrics, type States } from './states.ts'
import { createWorkMetrics } from './work.ts'

export type { States }

/** What one process has collected, as it may be sent to another. */
export type Snapshot = readonly object[]

export interface Metrics {
  /** Without spans: those are of whoever collects traces. */
  readonly telemetry: Omit<Telemetry, 'spans'>
  /** To be called once, when the parts are built whose state is asked for. */
  watch(states: Omit<States, 'requestsInFlight'>): void
  snapshot(): Promise<Snapshot>
}

export const METRICS_TYPE = Registry.PROMETHEUS_CONTENT_TYPE

/** The only place where registries are made: one a server, and one a process. */
export function createMetrics(): Metrics {
  const registry = new Registry()
  const { inFlight, ...requests } = createRequestMetrics(registry)
  const work = createWorkMetrics(registry)
  const registries = [registry, processRegistry()]
  return {
    telemetry: { ...requests, ...work },
    watch: (states) => createStateMetrics(registry, { ...states, requestsInFlight: inFlight }),
    async snapshot() {
      return (await Promise.all(registries.map((one) => one.getMetricsAsJSON()))).flat()
    },
  }
}

/**
 * The text that Prometheus reads, of one process or of several as if they were one: counts and durations are added up, and so is what
 * each has for itself; of what is the same for all the highest counts.
 */
export async function formatMetrics(snapshots: readonly Snapshot[]): Promise<string> {
  // When each of them began, the last one tells: a process that is replaced shows.
  const kept = snapshots.map((metrics) =>
    metrics.map((metric) => (isLeftOut(metric) ? { ...metric, aggregator: 'max' } : metric)),
  )
  return await AggregatorRegistry.aggregate(kept).metrics()
}

function isLeftOut(metric: object): boolean {
  return 'aggregator' in metric && metric.aggregator === 'omit'
}
