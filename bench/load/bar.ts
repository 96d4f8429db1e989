import { quantile } from '../lib/statistics.ts'
import type { Told } from './generator.ts'

/** One line of the table. */
export interface Row {
  readonly bar: string
  readonly what: string
  /** The bar itself, as it is held. */
  readonly limit: string
  /** The same without load, or what else it is held against. */
  readonly baseline: string
  readonly measured: string
  readonly isPassed: boolean
}

export interface Bar {
  readonly name: string
  /** Whether a machine that has other work makes it fail: its figure is a time. */
  readonly needsQuiet: boolean
  readonly run: (form: Form) => Promise<readonly Row[]>
}

export interface Form {
  /** Fewer and shorter, for a look, or a machine that is shared. */
  readonly isShort: boolean
}

export function p99(told: readonly Told[]): number {
  return quantile(
    told.map(({ millis }) => millis),
    0.99,
  )
}

export const isRight = ({ status, isWrong, code }: Told): boolean =>
  (status === 200 || status === 201) && !isWrong && code === undefined

/** Answers that are neither right nor an error that says why it is one. */
export function wrongOf(told: readonly Told[]): number {
  return told.filter((one) => !isRight(one) && (one.isWrong || one.code === undefined)).length
}

/** Such as `OVERLOADED 12`; empty where there was none. */
export function codesOf(told: readonly Told[]): string {
  const counts = new Map<string, number>()
  for (const one of told) {
    if (isRight(one)) continue
    const code = one.isWrong ? 'wrong' : (one.code ?? `status ${one.status}`)
    counts.set(code, (counts.get(code) ?? 0) + 1)
  }
  return [...counts].map(([code, count]) => `${code} ${count}`).join(', ')
}

export const millis = (value: number): string => `${value.toFixed(0)} ms`
export const mib = (value: number): string => `${value.toFixed(0)} MiB`
