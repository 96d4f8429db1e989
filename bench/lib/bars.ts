import bars from '../bars.json' with { type: 'json' }
import { formatNumber, print, printTable } from './report.ts'
import { median, spread } from './statistics.ts'

/** What a figure should be; all of them stand in bars.json. */
export interface Bar {
  readonly name: string
  readonly what: string
  /** What is divided by what, or where it is read. */
  readonly how: string
  /** `×` for a ratio. */
  readonly unit: string
  /** Exactly one of the two. */
  readonly atLeast?: number
  readonly atMost?: number
  /** What would be better still. */
  readonly wanted?: number
  /** Whether one figure is enough, as it would be the same in another round. */
  readonly isExact?: boolean
}

export const BARS: readonly Bar[] = bars

export interface Measured {
  /** One of bars.json by its name, or one that stands with what it is of. */
  readonly bar: string | Bar
  /** One a round; the figure is their median, its noise their spread. */
  readonly values: readonly number[]
}

/** Fewer rounds do not tell how far they lie apart. */
const LEAST_ROUNDS = 3

export type Verdict = 'wanted' | 'pass' | 'within the noise' | 'too few rounds' | 'missed' | 'not measured'

export function judge({ atLeast, atMost, wanted, isExact = false }: Bar, values: readonly number[]): Verdict {
  const value = median(values)
  if (Number.isNaN(value)) return 'not measured'
  const shortOf = (least: number | undefined, most: number | undefined) =>
    Math.max(least === undefined ? 0 : least - value, most === undefined ? 0 : value - most)
  const short = shortOf(atLeast, atMost)
  if (short > 0) {
    if (!isExact && values.length < LEAST_ROUNDS) return 'too few rounds'
    return isExact || short > spread(values) ? 'missed' : 'within the noise'
  }
  if (wanted === undefined) return 'pass'
  return (atLeast === undefined ? shortOf(undefined, wanted) : shortOf(wanted, undefined)) > 0 ? 'pass' : 'wanted'
}

const missed: string[] = []

/** Prints what was measured beside its bars. Where one is missed the process will end with 1, and say so last. */
export function printBars(measurements: readonly Measured[]): void {
  const rows = measurements.map(({ bar: given, values }) => {
    const bar = typeof given === 'string' ? findBar(given) : given
    const verdict = judge(bar, values)
    const unit = bar.unit === '' ? '' : ` ${bar.unit}`
    const measured = `${formatNumber(median(values))}${unit}`
    const noise = values.length < LEAST_ROUNDS ? '' : `± ${formatNumber(spread(values))}`
    if (verdict === 'missed') miss(`${bar.name}: ${measured} ${noise}, the bar is ${limitOf(bar)}${unit} (${bar.what})`)
    return [bar.what, `${limitOf(bar)}${unit}`, bar.wanted?.toString() ?? '', measured, noise, verdict]
  })
  printTable(['what', 'bar', 'wanted', 'measured', 'noise', ''], rows)
}

function findBar(name: string): Bar {
  const bar = BARS.find((candidate) => candidate.name === name)
  if (!bar) throw new Error(`bars.json has no bar ${name}`)
  return bar
}

function limitOf({ atLeast, atMost }: Bar): string {
  return atLeast === undefined ? `≤ ${atMost}` : `≥ ${atLeast}`
}

function miss(line: string): void {
  if (missed.length === 0) process.once('exit', () => process.stderr.write(`Missed\n${missed.join('\n')}\n`))
  missed.push(line)
  process.exitCode = 1
}

/** Heads the bars of a part. */
export function printBarsOf(title: string, measurements: readonly Measured[]): void {
  if (measurements.length === 0) return
  print(`**${title}**`)
  print()
  printBars(measurements)
}
