import { isAppError } from '../../errors.ts'

export interface Finding {
  readonly mark: 'ok' | 'warn' | 'wrong'
  /** What was found, and after it what to do. Names settings, never their values. */
  readonly text: string
  /** Lines that belong below it. */
  readonly details?: readonly string[]
}

export const fine = (text: string, details?: readonly string[]): Finding => ({ mark: 'ok', text, details })
export const warning = (text: string): Finding => ({ mark: 'warn', text })
export const wrong = (text: string): Finding => ({ mark: 'wrong', text })

export interface Look {
  /** What is looked at, at the beginning of a sentence. */
  readonly subject: string
  readonly seconds: number
}

/** Never rejects, and never takes longer than it may: what goes wrong with looking is a finding too. */
export async function inTime(
  look: Promise<readonly Finding[]>,
  { subject, seconds }: Look,
): Promise<readonly Finding[]> {
  const late = Promise.withResolvers<readonly Finding[]>()
  const timer = setTimeout(
    () =>
      late.resolve([wrong(`${subject} could not be looked at within ${seconds} seconds: something answers slowly`)]),
    seconds * 1000,
  )
  try {
    return await Promise.race([look, late.promise])
  } catch (error) {
    return [wrong(`${subject} could not be looked at: ${wordOf(error)}`)]
  } finally {
    clearTimeout(timer)
  }
}

/** Of a failure that nobody foresaw its codes alone: messages may quote addresses, paths and payloads. */
export function wordOf(error: unknown): string {
  if (!(error instanceof Error)) return 'an unknown failure'
  const code = 'code' in error && typeof error.code === 'string' ? error.code : error.name
  return isAppError(error) && error.cause !== undefined ? `${code}, ${wordOf(error.cause)}` : code
}

export interface Report {
  /** Prints a heading, and a line for each finding. */
  section(title: string, findings: readonly Finding[]): void
  /** Prints the verdict. @returns whether nothing was wrong. */
  end(): boolean
}

export function createReport(print: (line: string) => void): Report {
  const counts = { ok: 0, warn: 0, wrong: 0 }
  return {
    section(title, findings) {
      if (findings.length === 0) return
      print(title)
      for (const { mark, text, details = [] } of findings) {
        counts[mark]++
        print(`  ${mark.padEnd(5)}  ${text}`)
        for (const detail of details) print(`         ${detail}`)
      }
      print('')
    },
    end() {
      const warnings = counts.warn === 0 ? '' : ` ${count(counts.warn, 'warning')}.`
      if (counts.wrong === 0) print(`Nothing is wrong.${warnings}`)
      else print(`${count(counts.wrong, 'thing')} ${counts.wrong === 1 ? 'is' : 'are'} wrong.${warnings}`)
      return counts.wrong === 0
    },
  }
}

/** `1 run`, `12,000 runs`. */
export function count(number: number, noun: string): string {
  return `${number.toLocaleString('en-US')} ${noun}${number === 1 ? '' : 's'}`
}
