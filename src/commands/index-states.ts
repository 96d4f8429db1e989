import type { ErrorCode } from '../errors.ts'
import { createMakeIndex, type IndexMade } from '../snapshots/indexes/make-index.ts'
import { type PassCommand, runPass, type Told } from './pass.ts'

/** Of those after the first three, the operator has to look at every single one. */
const OUTCOMES = ['made', 'there already', 'not needed', 'not JSON', 'missing', 'corrupt', 'unreadable'] as const
type Outcome = (typeof OUTCOMES)[number]

/**
 * The command `index`: makes the indexes of states that have none, as those have that were captured by an earlier version.
 * @returns the exit code. 0: every state that can have one has it. 2: something is missing or corrupt. 1: it was stopped, or could
 * not read some.
 * @throws Error when an argument is wrong, or the database takes no writes.
 */
export async function runIndex(command: PassCommand): Promise<number> {
  return await runPass(command, {
    outcomes: OUTCOMES,
    exitCodeOf: (has) => (has('missing') || has('corrupt') ? 2 : has('unreadable') ? 1 : 0),
    describe: describeFound,
    begin({ isReadOnly, ...parts }) {
      if (isReadOnly) throw new Error('The database takes no writes: no index could be kept')
      return createMakeIndex(parts)
    },
  })
}

function describeFound(found: IndexMade | { readonly code: ErrorCode }): Told<Outcome> {
  if (!('code' in found)) {
    return found.outcome === 'not JSON' ? { ...found, code: 'INVALID_PAYLOAD' } : found
  }
  const { code } = found
  const outcome = code === 'OBJECT_MISSING' ? 'missing' : code === 'OBJECT_CORRUPT' ? 'corrupt' : 'unreadable'
  return { outcome, code }
}
