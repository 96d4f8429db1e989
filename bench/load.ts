import { parseArgs } from 'node:util'
import { startServices, stopServices } from '../test/support/start-services.ts'
import { describeMachine, endPart, note, print, printTable } from './lib/report.ts'
import type { Bar, Row } from './load/bar.ts'
import { MIXED_BARS } from './load/mixed.ts'
import { OTHER_BARS } from './load/other.ts'
import { STREAM_BARS } from './load/streams.ts'

/*
 * What must hold under load: `npm run bench:load`, or some of it by `-- --only L4,L9`, or a quick look by `-- --short`. The load comes from
 * a process of its own, at its own pace. It ends with 1 where a bar is missed.
 */
const { values } = parseArgs({
  options: {
    only: { type: 'string' },
    short: { type: 'boolean', default: false },
    write: { type: 'boolean', default: false },
  },
})
const BARS: readonly Bar[] = [...STREAM_BARS, ...MIXED_BARS, ...OTHER_BARS]
/** Told by the bar of another one's load. */
const TOLD_BY: Readonly<Record<string, string>> = { L6: 'L5' }

/** One that could not be measured is missed, and keeps no other from being measured. */
function failedRow(bar: string, error: unknown): Row {
  return { bar, what: 'not measured', limit: '', baseline: '', measured: String(error).slice(0, 200), isPassed: false }
}

const asked = values.only?.split(',').map((name) => TOLD_BY[name] ?? name)
const unknown = asked?.find((name) => !BARS.some((bar) => bar.name === name))
if (unknown !== undefined) throw new Error(`There is no bar ${unknown}`)

await startServices()
try {
  const rows: Row[] = []
  for (const { name, run, needsQuiet } of BARS) {
    if (asked && !asked.includes(name)) continue
    const began = performance.now()
    rows.push(...(await run({ isShort: values.short }).catch((error: unknown) => [failedRow(name, error)])))
    const seconds = ((performance.now() - began) / 1000).toFixed(0)
    note(
      `${name} took ${seconds} s${needsQuiet ? '; its figures are times, of a machine with nothing else to do' : ''}`,
    )
  }
  print(await describeMachine(values.short ? ['the short form'] : []))
  print()
  printTable(
    ['bar', 'what', 'limit', 'without load', 'measured', ''],
    rows.map(({ bar, what, limit, baseline, measured, isPassed }) => [
      bar,
      what,
      limit,
      baseline,
      measured,
      isPassed ? 'passed' : 'missed',
    ]),
  )
  await endPart('load', { write: values.write })
  if (rows.some(({ isPassed }) => !isPassed)) process.exitCode = 1
} finally {
  await stopServices()
}
