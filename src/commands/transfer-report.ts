import { OUTCOMES, type Outcome, type Taken } from '../transfer/outcomes.ts'

export interface Output {
  readonly isTTY?: boolean
  write(text: string): unknown
}

const MB = 1_000_000
const LINE_MILLIS = 5000

/** Lines about what was left out, how far it is, and at the end what there was. */
export function createTransferReport(output: Output) {
  const counts = new Map<Outcome, number>()
  const erased = output.isTTY ? '\r\x1b[K' : ''
  let sizeBytes = 0
  let shownAt = performance.now()

  function showProgress(): void {
    if (performance.now() - shownAt < (output.isTTY ? 200 : LINE_MILLIS)) return
    shownAt = performance.now()
    const total = counts.values().reduce((sum, count) => sum + count, 0)
    const line = `${total.toLocaleString('en-US')} snapshots, ${megabytes(sizeBytes)}`
    output.write(output.isTTY ? `${erased}${line}` : `${line}\n`)
  }

  return {
    add({ outcome, name, runId, code, sizeBytes: added = 0 }: Taken): void {
      counts.set(outcome, (counts.get(outcome) ?? 0) + 1)
      if (outcome === 'taken') sizeBytes += added
      const isOdd = outcome === 'refused' || outcome === 'not in the file'
      if (isOdd) output.write(`${erased}${(code ?? 'LOST').padEnd(16)}  ${name}  ${JSON.stringify(runId)}\n`)
      showProgress()
    },
    /** @param taken what the first line is called. */
    end(taken: string): void {
      const rows = OUTCOMES.filter((outcome) => outcome === 'taken' || counts.has(outcome)).map(
        (outcome) =>
          [outcome === 'taken' ? taken : outcome, (counts.get(outcome) ?? 0).toLocaleString('en-US')] as const,
      )
      const width = Math.max(...rows.map(([, count]) => count.length))
      const table = rows.map(([name, count]) => `${name.padEnd(15)}  ${count.padStart(width)}\n`).join('')
      output.write(`${erased}${table}${megabytes(sizeBytes)}\n`)
    },
    has: (outcome: Outcome) => counts.has(outcome),
  }
}

function megabytes(bytes: number): string {
  return `${(bytes / MB).toLocaleString('en-US', { maximumFractionDigits: 1 })} MB`
}
