import type { ErrorCode } from '../errors.ts'
import { createVerifier, type Verification } from '../snapshots/upkeep/verifier.ts'
import { type PassCommand, runPass, type Told } from './pass.ts'

/** Of those after the first three, the operator has to look at every single one. */
const OUTCOMES = ['verified', 'not verifiable', 'not JSON', 'missing', 'corrupt', 'unreadable'] as const
type Outcome = (typeof OUTCOMES)[number]

/**
 * The command `verify`: reads every payload back, and tells which are missing, corrupt or cannot be read.
 * @returns the exit code. 0: all that can be checked is intact. 2: something is missing or corrupt. 1: it was stopped, or could
 * not read some.
 * @throws Error when an argument is wrong.
 */
export async function runVerify(command: PassCommand): Promise<number> {
  return await runPass(command, {
    outcomes: OUTCOMES,
    exitCodeOf: (has) => (has('missing') || has('corrupt') ? 2 : has('unreadable') ? 1 : 0),
    describe: describeFound,
    begin: ({ db, payloads, reads, output, isReadOnly }) => {
      if (isReadOnly) output.write('The database takes no writes: what is found is told here, and recorded nowhere.\n')
      return createVerifier({ db, payloads, reads }).verify
    },
  })
}

function describeFound(found: Verification | { readonly code: ErrorCode }): Told<Outcome> {
  if ('code' in found) return { outcome: found.code === 'OBJECT_MISSING' ? 'missing' : 'unreadable', code: found.code }
  const sizeBytes = found.sizeBytes ?? 0
  if (found.integrity === 'MISMATCH') return { outcome: 'corrupt', code: 'OBJECT_CORRUPT', sizeBytes }
  if (!found.isJson) return { outcome: 'not JSON', code: 'INVALID_PAYLOAD', sizeBytes }
  return { outcome: found.integrity === 'VERIFIED' ? 'verified' : 'not verifiable', sizeBytes }
}
