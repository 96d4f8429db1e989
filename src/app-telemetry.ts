import type { AppOptions } from './app.ts'
import type { Built } from './app-services.ts'
import { createMetrics, formatMetrics, METRICS_TYPE, type Metrics } from './metrics/metrics.ts'
import type { CollectedMetrics } from './server/metrics-route.ts'
import type { Streams } from './server/streams.ts'
import type { WatchedSockets } from './stores.ts'
import type { Telemetry } from './telemetry/telemetry.ts'
import { openSpans } from './tracing/open-spans.ts'

/** What tells of the work of a server, and what is made of it. */
export interface Seen {
  readonly telemetry: Telemetry
  readonly metrics: Metrics
  /** What `/metrics` answers. */
  readonly collected: CollectedMetrics
  readonly sockets: readonly WatchedSockets[]
  readonly onSockets: (sockets: WatchedSockets) => void
}

export function openTelemetry({ gatherMetrics }: Pick<AppOptions, 'gatherMetrics'>): Seen {
  const metrics = createMetrics()
  const sockets: WatchedSockets[] = []
  const gather = gatherMetrics ?? (async () => [await metrics.snapshot()])
  return {
    telemetry: { ...metrics.telemetry, spans: openSpans() },
    metrics,
    collected: { mediaType: METRICS_TYPE, format: async () => await formatMetrics(await gather()) },
    sockets,
    onSockets: (opened) => void sockets.push(opened),
  }
}

/** From now on what is collected tells how the parts stand, too. */
export function watchParts({ metrics, sockets, db, watching, admission, events }: Built, streams: Streams): void {
  metrics.watch({
    pools: { requests: db.poolState, events: watching.poolState },
    gates: Object.fromEntries(Object.entries(admission).map(([name, { state }]) => [name, state])),
    sockets: () => sockets.map(({ scheme, use, state }) => ({ scheme, use, ...state() })),
    eventStreams: () => ({ open: streams.open(), max: streams.limits.streamsMax }),
    pollerLagSeconds: events.lagSeconds,
  })
}
