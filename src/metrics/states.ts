import { Gauge, type Registry } from 'prom-client'
import { createCounters } from './series.ts'

/** A pool of connections to the database, now. */
export interface PoolState {
  readonly max: number
  readonly inUse: number
  readonly idle: number
  /** Callers that wait for one. */
  readonly waiting: number
}

/** Sockets to an object store, now. */
export interface SocketState {
  readonly busy: number
  readonly idle: number
  /** Requests that wait for one. */
  readonly waiting: number
}

/** What is let in at once, now. */
export interface GateState {
  /** In the unit of the gate: places, or bytes. */
  readonly capacity: number
  readonly taken: number
  readonly waiting: number
  /** Since the start. */
  readonly refused: number
}

/** Asked each time that somebody collects. */
export interface States {
  readonly pools: Readonly<Record<string, () => PoolState>>
  readonly gates: Readonly<Record<string, () => GateState>>
  /** By scheme, and what they are used for; those that were opened by now. */
  readonly sockets: () => readonly (SocketState & { readonly scheme: string; readonly use: string })[]
  readonly eventStreams: () => { readonly open: number; readonly max: number }
  /** Seconds since what is committed was last looked for with success; 0 while nobody watches. */
  readonly pollerLagSeconds: () => number
  readonly requestsInFlight: () => number
}

interface GaugeOptions {
  readonly name: string
  readonly help: string
  readonly labelNames?: readonly string[]
  /** How the values of several processes become one; their sum when left out. */
  readonly aggregator?: 'sum' | 'max'
}

type Reading = readonly [labels: Readonly<Record<string, string>>, value: number]

/** What is neither counted nor timed: how things stand. */
export function createStateMetrics(registry: Registry, states: States): void {
  const gauge = (options: GaugeOptions, read: () => readonly Reading[]) => createGauge(registry, options, read)
  gauge(
    {
      name: 'statelens_http_requests_in_flight',
      help: 'Requests whose answer has not ended, streams of events among them.',
    },
    () => [[{}, states.requestsInFlight()]],
  )
  createPoolMetrics(gauge, states)
  createGateMetrics(registry, gauge, states)
  gauge({ name: 'statelens_event_streams', help: 'Open streams of events, by SSE and by WebSocket.' }, () => [
    [{}, states.eventStreams().open],
  ])
  // Of the server, whatever the number of its processes.
  gauge({ name: 'statelens_event_streams_max', help: 'How many there may be.', aggregator: 'max' }, () => [
    [{}, states.eventStreams().max],
  ])
  gauge(
    {
      name: 'statelens_events_poller_lag_seconds',
      help: 'Seconds since new events were last looked for with success; 0 while nobody watches. The highest of all processes.',
      aggregator: 'max',
    },
    () => [[{}, states.pollerLagSeconds()]],
  )
}

type CreateGauge = (options: GaugeOptions, read: () => readonly Reading[]) => void

function createPoolMetrics(gauge: CreateGauge, { pools, sockets }: States): void {
  const ofPools = (read: (pool: PoolState) => number) => () =>
    Object.entries(pools).map(([pool, look]): Reading => [{ pool }, read(look())])
  gauge(
    {
      name: 'statelens_db_connections',
      help: 'Connections to the database by pool and state: in_use, idle.',
      labelNames: ['pool', 'state'],
    },
    () =>
      Object.entries(pools).flatMap(([pool, look]): Reading[] => {
        const { inUse, idle } = look()
        return [
          [{ pool, state: 'in_use' }, inUse],
          [{ pool, state: 'idle' }, idle],
        ]
      }),
  )
  gauge(
    { name: 'statelens_db_connections_max', help: 'How many connections a pool may have.', labelNames: ['pool'] },
    ofPools(({ max }) => max),
  )
  gauge(
    { name: 'statelens_db_waiting', help: 'Callers that wait for a connection of the pool.', labelNames: ['pool'] },
    ofPools(({ waiting }) => waiting),
  )
  gauge(
    {
      name: 'statelens_storage_sockets',
      help: 'Sockets to an object store by scheme, use (read, write, control) and state: busy, idle; waiting are requests without one.',
      labelNames: ['scheme', 'use', 'state'],
    },
    () =>
      sockets().flatMap(({ scheme, use, busy, idle, waiting }) =>
        Object.entries({ busy, idle, waiting }).map(([state, value]): Reading => [{ scheme, use, state }, value]),
      ),
  )
}

function createGateMetrics(registry: Registry, gauge: CreateGauge, { gates }: States): void {
  const ofGates = (read: (gate: GateState) => number) => () =>
    Object.entries(gates).map(([name, look]): Reading => [{ gate: name }, read(look())])
  const options = (name: string, help: string) => ({ name, help, labelNames: ['gate'] })
  gauge(
    options('statelens_admission_taken', 'What is taken of a gate: places, and bytes of the gate memory.'),
    ofGates(({ taken }) => taken),
  )
  gauge(
    options('statelens_admission_capacity', 'What there is of it.'),
    ofGates(({ capacity }) => capacity),
  )
  gauge(
    options('statelens_admission_waiting', 'Callers that wait at a gate.'),
    ofGates(({ waiting }) => waiting),
  )
  createCounters(
    registry,
    { name: 'statelens_admission_refused_total', help: 'Callers that a gate has refused: they were told OVERLOADED.' },
    () => Object.entries(gates).map(([gate, look]) => ({ labels: { gate }, value: look().refused })),
  )
}

function createGauge(
  registry: Registry,
  { name, help, labelNames = [], aggregator = 'sum' }: GaugeOptions,
  read: () => readonly Reading[],
): void {
  const gauge: Gauge = new Gauge({
    name,
    help,
    labelNames: [...labelNames],
    aggregator,
    registers: [registry],
    collect() {
      for (const [labels, value] of read()) gauge.set(labels, value)
    },
  })
}
