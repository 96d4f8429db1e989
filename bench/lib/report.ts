import { execFile } from 'node:child_process'
import { cpus, release, totalmem } from 'node:os'
import { promisify } from 'node:util'

export function print(line = ''): void {
  process.stdout.write(`${line}\n`)
}

/** Progress, apart from the tables. */
export function note(line: string): void {
  process.stderr.write(`${line}\n`)
}

/** A table in Markdown, its columns aligned so that a terminal shows it well, too. */
export function printTable(head: readonly string[], rows: readonly (readonly string[])[]): void {
  const widths = head.map((cell, column) => Math.max(cell.length, ...rows.map((row) => row[column]?.length ?? 0)))
  const line = (cells: readonly string[]) =>
    `| ${widths.map((width, column) => (cells[column] ?? '').padEnd(width)).join(' | ')} |`
  print(line(head))
  print(line(widths.map((width) => '-'.repeat(width))))
  for (const row of rows) print(line(row))
  print()
}

/** One line on what the numbers were measured on. */
export async function describeMachine(details: readonly string[]): Promise<string> {
  const [cpu] = cpus()
  const { stdout } = await promisify(execFile)('git', ['rev-parse', '--short', 'HEAD']).catch(() => ({ stdout: '' }))
  return [
    `${cpus().length} × ${cpu?.model ?? 'unknown CPU'}`,
    `${Math.round(totalmem() / 2 ** 30)} GiB`,
    `Linux ${release()}`,
    `Node ${process.versions.node}`,
    ...details,
    ...(stdout ? [`commit ${stdout.trim()}`] : []),
  ].join(' · ')
}

export interface Bar {
  readonly what: string
  readonly value: number
  readonly unit?: string
  /** Exactly one of the two. */
  readonly atLeast?: number
  readonly atMost?: number
}

export function printBars(bars: readonly Bar[]): void {
  const rows = bars.map(({ what, value, unit = '', atLeast, atMost }) => {
    const holds = atLeast === undefined ? value <= (atMost ?? Number.NaN) : value >= atLeast
    const bar = atLeast === undefined ? `≤ ${atMost}${unit}` : `≥ ${atLeast}${unit}`
    return [what, bar, `${formatNumber(value)}${unit}`, holds ? 'pass' : 'falls short']
  })
  printTable(['what', 'bar', 'measured', ''], rows)
}

export function formatNumber(value: number): string {
  if (Number.isNaN(value)) return '–'
  if (value >= 100) return value.toFixed(0)
  return value.toFixed(value >= 10 ? 1 : 2)
}
