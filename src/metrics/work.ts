import type { Registry } from 'prom-client'
import { Gauge } from 'prom-client'
import type { Telemetry, Tier, Way } from '../telemetry/telemetry.ts'
import { type Counter, createCounters, createHistograms, memoized } from './series.ts'

type Work = Pick<
  Telemetry,
  'payloadBytes' | 'statement' | 'storageCall' | 'cacheRead' | 'cacheFailed' | 'breaker' | 'upkeep'
>

/** What is done for the requests, and beside them. */
export function createWorkMetrics(registry: Registry): Work {
  return {
    ...createStoreMetrics(registry),
    ...createCacheMetrics(registry),
    breaker: createBreakerMetrics(registry),
    upkeep: createUpkeepMetrics(registry),
  }
}

function createStoreMetrics(registry: Registry): Pick<Work, 'payloadBytes' | 'statement' | 'storageCall'> {
  const bytes = createCounters(registry, {
    name: 'statelens_payload_bytes_total',
    help: 'Bytes of payloads by direction (in, out), tier (inline, object) and way (whole, range, part, diff, link, capture, upload).',
  })
  const statements = createHistograms(registry, {
    name: 'statelens_db_statement_duration_seconds',
    help: 'SQL statements by their verb, from when they are asked for to their last row: waiting for a connection counts.',
  })
  const failedStatements = createCounters(registry, {
    name: 'statelens_db_statement_failures_total',
    help: 'SQL statements that failed, by their verb.',
  })
  const calls = createHistograms(registry, {
    name: 'statelens_storage_call_duration_seconds',
    help: 'Calls to storage by scheme and operation; of a get, until its first byte.',
  })
  const failedCalls = createCounters(registry, {
    name: 'statelens_storage_call_failures_total',
    help: 'Calls to storage that failed, by scheme, operation and code.',
  })
  const bytesOf = createByteTable(bytes)
  const callsOf = memoized((scheme = '', operation = '') => calls({ scheme, operation }))
  return {
    payloadBytes: (direction, amount, { tier, way }) => bytesOf(direction, tier, way).add(amount),
    statement(verb) {
      const duration = statements({ statement: verb })
      const failures = failedStatements({ statement: verb })
      return (seconds, isFailed) => {
        duration.observe(seconds)
        if (isFailed) failures.add(1)
      }
    },
    storageCall({ scheme, operation }, seconds, code) {
      callsOf(scheme, operation).observe(seconds)
      if (code !== undefined) failedCalls({ scheme, operation, code }).add(1)
    },
  }
}

type ByteCounters = Partial<Record<Way, Counter>>

/** Found without a text being made: it is asked for once a state. */
function createByteTable(bytes: ReturnType<typeof createCounters>) {
  const create = (): Record<Tier, ByteCounters> => ({ inline: {}, object: {} })
  const table = { in: create(), out: create() }
  return (direction: 'in' | 'out', tier: Tier, way: Way): Counter => {
    const counters = table[direction][tier]
    counters[way] ??= bytes({ direction, tier, way })
    return counters[way]
  }
}

function createCacheMetrics(registry: Registry): Pick<Work, 'cacheRead' | 'cacheFailed'> {
  const reads = createCounters(registry, {
    name: 'statelens_cache_reads_total',
    help: 'Reads of the cache by outcome: hit, miss. A cache that fails is a miss.',
  })
  const failures = createCounters(registry, {
    name: 'statelens_cache_failures_total',
    help: 'Commands that the cache did not do as asked, or not in time.',
  })
  const hits = reads({ outcome: 'hit' })
  const misses = reads({ outcome: 'miss' })
  const failed = failures()
  return {
    cacheRead: (isHit) => (isHit ? hits : misses).add(1),
    cacheFailed: () => failed.add(1),
  }
}

function createBreakerMetrics(registry: Registry): Work['breaker'] {
  const open = new Gauge({
    name: 'statelens_breaker_open',
    help: 'Whether a breaker is open (1): what it guards is not asked, as it did not answer. The highest of all processes.',
    labelNames: ['breaker'],
    registers: [registry],
    aggregator: 'max',
  })
  const openings = createCounters(registry, {
    name: 'statelens_breaker_openings_total',
    help: 'How often a breaker has opened.',
  })
  return (breaker) => {
    const opened = openings({ breaker })
    open.set({ breaker }, 0)
    let wasOpen = false
    return (isOpen) => {
      if (isOpen && !wasOpen) opened.add(1)
      wasOpen = isOpen
      open.set({ breaker }, isOpen ? 1 : 0)
    }
  }
}

function createUpkeepMetrics(registry: Registry): Work['upkeep'] {
  const passes = createCounters(registry, {
    name: 'statelens_upkeep_passes_total',
    help: 'Passes of tasks in the background by task and outcome: complete, incomplete.',
  })
  const things = createCounters(registry, {
    name: 'statelens_upkeep_items_total',
    help: 'What such passes dealt with by task and outcome: done, failed. The sweep counts objects.',
  })
  const completed = new Gauge({
    name: 'statelens_upkeep_last_complete_timestamp_seconds',
    help: 'When a pass of the task was last complete, in seconds since 1970; the start of the process before the first.',
    labelNames: ['task'],
    registers: [registry],
    aggregator: 'max',
  })
  return (task) => {
    const note = () => completed.set({ task }, Date.now() / 1000)
    const [complete, incomplete] = ['complete', 'incomplete'].map((outcome) => passes({ task, outcome }))
    const done = things({ task, outcome: 'done' })
    const failed = things({ task, outcome: 'failed' })
    note()
    return (pass) => {
      const outcome = pass.isComplete ? complete : incomplete
      outcome?.add(1)
      done.add(pass.done)
      failed.add(pass.failed)
      if (pass.isComplete) note()
    }
  }
}
