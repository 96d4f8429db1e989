import type { ErrorCode } from '../../src/errors.ts'
import type { Target } from './world.ts'

/** What a server may say, and for how long after the trouble is over. */
const RECOVERY_MS = 3000

type Cause = Target | 'kill' | 'sweep'

interface Spell {
  readonly cause: Cause
  readonly member: number | null
  readonly from: number
  to: number
}

/** What was wrong when: an error without a cause is a broken promise. */
export interface Weather {
  /** @returns to be called when it is over. */
  begin(cause: Cause, member: number | null): () => void
  /** Whether a request to this server, from `start` until now, may have met it. */
  had(cause: Cause, member: number | null, start: number): boolean
  /** What was told without a cause, of errors that a busy machine alone may bring. */
  readonly unexplained: readonly string[]
  /** Whether it may have been told this code; where only the machine can be the cause, it is noted. */
  excuses(
    code: string,
    asked: { readonly member: number; readonly start: number; readonly touchesObjects: boolean },
  ): boolean
}

const CODES: Readonly<Partial<Record<Cause, readonly ErrorCode[]>>> = {
  postgres: ['DATABASE_UNAVAILABLE', 'DATABASE_TIMEOUT', 'OVERLOADED'],
  s3: ['STORAGE_UNAVAILABLE', 'STORAGE_TIMEOUT', 'OVERLOADED'],
  // What is put while nothing has any grace may be swept from under the hands of its writer.
  sweep: ['STORAGE_UNAVAILABLE'],
  // A statement that is waiting behind one of a killed server.
  kill: [],
}

/** Of a machine that has much else to do: limits of seconds pass while nothing is wrong. */
const OF_A_BUSY_MACHINE: readonly string[] = ['postgres', 's3'].flatMap((cause) => CODES[cause as Cause] ?? [])

export function createWeather(): Weather {
  const spells: Spell[] = []
  const unexplained: string[] = []
  const had: Weather['had'] = (cause, member, start) =>
    spells.some((spell) => spell.cause === cause && spell.to > start && [null, member].includes(spell.member))
  return {
    begin(cause, member) {
      const spell = { cause, member, from: performance.now(), to: Number.POSITIVE_INFINITY }
      spells.push(spell)
      return () => {
        spell.to = performance.now() + (cause === 'sweep' ? 0 : RECOVERY_MS)
      }
    },
    had,
    unexplained,
    excuses(code, { member, start, touchesObjects }) {
      const isExplained = (Object.keys(CODES) as Cause[]).some((cause) => {
        if ((cause === 's3' || cause === 'sweep') && !touchesObjects) return false
        return CODES[cause]?.some((known) => known === code) === true && had(cause, member, start)
      })
      if (isExplained) return true
      const after = Math.round(performance.now() - start)
      unexplained.push(`${code} of server ${member} after ${after} ms`)
      return OF_A_BUSY_MACHINE.includes(code)
    },
  }
}
