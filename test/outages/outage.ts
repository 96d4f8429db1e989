import { setTimeout as delay } from 'node:timers/promises'
import type { FaultProxy } from '../support/fault-proxy.ts'
import { type Call, KINDS, type Kind, type LoadOptions, startLoad } from './load.ts'

export interface OutageOptions extends LoadOptions {
  /** In front of what is away for a while. */
  readonly proxy: FaultProxy
  readonly calmMillis: number
  readonly faultMillis: number
  /** How long is looked on after the end of the fault. */
  readonly afterMillis: number
}

export interface Phase {
  readonly calls: number
  /** How often each outcome came. */
  readonly outcomes: Readonly<Record<string, number>>
  /** Of those that succeeded, in milliseconds; NaN where none did. */
  readonly medianMillis: number
  readonly slowestMillis: number
}

export type Phases = Readonly<Record<'before' | 'during' | 'after', Phase>>

export interface OutageReport {
  readonly kinds: Readonly<Record<Kind, Phases>>
  /** Every outcome but `ok`, of the whole time. */
  readonly failures: ReadonlySet<string>
  /** From the end of the fault to the last call sent after it that failed. */
  readonly recoveryMillis: number
  readonly acknowledged: number
  /** Acknowledged states that do not come back as they were. */
  readonly lost: readonly string[]
}

/** Of each kind, before and after; a machine with much else to do takes its time. */
const ENOUGH = 5

/** Sends calls of all kinds before, during and after a time in which a service says nothing, and tells what became of them. */
export async function runOutage(options: OutageOptions): Promise<OutageReport> {
  const { proxy, calmMillis, faultMillis, afterMillis } = options
  const load = await startLoad(options)
  await delay(calmMillis)
  await load.succeeded(ENOUGH, 0)
  const brokenAt = performance.now()
  proxy.blackhole()
  await delay(faultMillis)
  // What was held back meanwhile is lost, as in a network that was gone.
  proxy.resetNow()
  await proxy.heal()
  const healedAt = performance.now()
  await delay(afterMillis)
  await load.succeeded(ENOUGH, healedAt)
  await load.stop()
  const { acknowledged, lost } = await load.audit()
  const failed = load.calls.filter(({ outcome }) => outcome !== 'ok')
  const lateFailures = failed.filter(({ at }) => at > healedAt).map(({ at }) => at - healedAt)
  const phasesOf = (kind: Kind): Phases => {
    const own = load.calls.filter((call) => call.kind === kind)
    return {
      before: phaseOf(own.filter(({ at, millis }) => at + millis < brokenAt)),
      during: phaseOf(own.filter(({ at, millis }) => at + millis >= brokenAt && at <= healedAt)),
      after: phaseOf(own.filter(({ at }) => at > healedAt)),
    }
  }
  return {
    kinds: Object.fromEntries(KINDS.map((kind) => [kind, phasesOf(kind)])) as Record<Kind, Phases>,
    failures: new Set(failed.map(({ outcome }) => outcome)),
    recoveryMillis: Math.max(0, ...lateFailures),
    acknowledged,
    lost,
  }
}

function phaseOf(calls: readonly Call[]): Phase {
  const outcomes: Record<string, number> = {}
  for (const { outcome } of calls) outcomes[outcome] = (outcomes[outcome] ?? 0) + 1
  const times = calls.flatMap(({ outcome, millis }) => (outcome === 'ok' ? [millis] : [])).toSorted((a, b) => a - b)
  return {
    calls: calls.length,
    outcomes,
    medianMillis: times[Math.floor(times.length / 2)] ?? Number.NaN,
    slowestMillis: Math.max(...calls.map(({ millis }) => millis)),
  }
}
