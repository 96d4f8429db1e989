import { execFile } from 'node:child_process'
import { readFile, writeFile } from 'node:fs/promises'
import { cpus, loadavg, release, totalmem } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'

const README = join(import.meta.dirname, '..', 'README.md')

/** What was printed since the last part ended. */
let printed: string[] = []

export function print(line = ''): void {
  printed.push(line)
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

/**
 * Ends a part: what it printed goes between its two markers in README.md, in the place of an earlier run's, if `write` is set.
 * @throws Error where the markers are not there
 */
export async function endPart(name: string, { write }: { readonly write: boolean }): Promise<void> {
  const text = printed.join('\n').trim()
  printed = []
  if (!write) return
  const [begin, end] = [`<!-- bench: ${name} -->`, `<!-- end of ${name} -->`]
  const readme = await readFile(README, 'utf8')
  const [from, to] = [readme.indexOf(begin), readme.indexOf(end)]
  if (from === -1 || to < from) throw new Error(`bench/README.md has no place for ${name}: ${begin} … ${end}`)
  await writeFile(README, `${readme.slice(0, from + begin.length)}\n${text}\n${readme.slice(to)}`)
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
    `load ${loadavg()[0]?.toFixed(1)} at the time`,
    ...(stdout ? [`commit ${stdout.trim()}`] : []),
  ].join(' · ')
}

export function formatNumber(value: number): string {
  if (Number.isNaN(value)) return '–'
  if (value >= 100) return value.toFixed(0)
  return value.toFixed(value >= 10 ? 1 : 2)
}
