import type { Metric, MetricValue, Registry } from 'prom-client'

/** By the names of its labels. */
export type Labels = Readonly<Record<string, string>>

export interface SeriesOptions {
  readonly name: string
  readonly help: string
}

export interface Counter {
  add(amount: number): void
}

export interface Histogram {
  /** @param seconds of one thing that was measured. */
  observe(seconds: number): void
}

/** How far apart the durations of this server lie: from a read at hand to a large state on a slow line. */
export const SECONDS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30] as const

/**
 * Counters by their labels. They are numbers that wait to be collected: what prom-client does for each increment, and checks, costs as much as a
 * good part of what is counted here.
 */
export function createCounters(
  registry: Registry,
  options: SeriesOptions,
  /** What somebody else counts: asked when they are collected. */
  countedElsewhere: () => readonly { readonly labels: Labels; readonly value: number }[] = () => [],
): (labels?: Labels) => Counter {
  const kept = keepSeries((labels) => ({ labels, value: 0 }))
  const values = () => [...[...kept.all()].map(({ labels, value }) => ({ labels, value })), ...countedElsewhere()]
  register(registry, { ...options, type: 'counter', values })
  return (labels = {}) => {
    const own = kept.of(labels)
    return {
      add(amount) {
        own.value += amount
      },
    }
  }
}

/** The same for durations in seconds. */
export function createHistograms(registry: Registry, options: SeriesOptions): (labels?: Labels) => Histogram {
  const kept = keepSeries((labels) => ({ labels, counts: new Array<number>(SECONDS.length + 1).fill(0), sum: 0 }))
  register(registry, {
    ...options,
    type: 'histogram',
    values: () => [...kept.all()].flatMap((one) => bucketsOf(options.name, one)),
  })
  return (labels = {}) => {
    const own = kept.of(labels)
    return {
      observe(seconds) {
        let bucket = 0
        while (bucket < SECONDS.length && seconds > (SECONDS[bucket] ?? 0)) bucket++
        own.counts[bucket] = (own.counts[bucket] ?? 0) + 1
        own.sum += seconds
      },
    }
  }
}

type NamedValue = MetricValue<string> & { readonly metricName?: string }

interface Distribution {
  readonly labels: Labels
  readonly counts: readonly number[]
  readonly sum: number
}

function bucketsOf(name: string, { labels, counts, sum }: Distribution): NamedValue[] {
  let upTo = 0
  const buckets = counts.map((count, index) => {
    upTo += count
    return { metricName: `${name}_bucket`, labels: { ...labels, le: SECONDS[index] ?? '+Inf' }, value: upTo }
  })
  return [
    ...buckets,
    { metricName: `${name}_sum`, labels, value: sum },
    { metricName: `${name}_count`, labels, value: upTo },
  ]
}

/** What is often asked for by a short name, made once. */
export function memoized<Value>(create: (...names: string[]) => Value): (...names: string[]) => Value {
  const known = new Map<string, Value>()
  return (...names) => {
    const key = names.join(' ')
    const found = known.get(key) ?? create(...names)
    known.set(key, found)
    return found
  }
}

/** One for each set of labels. */
function keepSeries<One>(create: (labels: Labels) => One) {
  const kept = new Map<string, One>()
  return {
    all: () => kept.values(),
    of(labels: Labels): One {
      const key = JSON.stringify(labels)
      const found = kept.get(key) ?? create(labels)
      kept.set(key, found)
      return found
    },
  }
}

interface Registered extends SeriesOptions {
  readonly type: 'counter' | 'histogram'
  values(): readonly NamedValue[]
}

/** A registry takes whatever tells its values, as it does of what other processes collected. */
function register(registry: Registry, { name, help, type, values }: Registered): void {
  const get = async () => ({ name, help, type, aggregator: 'sum', values: [...values()] })
  registry.registerMetric({ name, help, get } as unknown as Metric)
}
