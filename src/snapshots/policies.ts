import { createHash } from 'node:crypto'
import { createPlaces, keysOfPointer, type Place } from '../json/mask/places.ts'

/** What is masked in a state that names the policy. */
export interface Policy {
  readonly name: string
  readonly start: Place | null
  /** Another one for other pointers. */
  readonly version: string
}

export type Policies = ReadonlyMap<string, Policy>

/** A file of policies as it was read: what is wrong with one of them leaves it out, and whoever names it has none. */
export interface PolicyFile {
  readonly value: Policies
  readonly problems: readonly string[]
}

/** Reads `{"name": ["/pointer", …], …}`; a pointer may have `*` for any key or index. Undefined: the file cannot be read. */
export function parsePolicies(text: string | undefined): PolicyFile {
  if (text === undefined) return { value: new Map(), problems: ['cannot be read'] }
  const parsed = tryParse(text)
  if (typeof parsed !== 'object' || parsed === null || Array.isArray(parsed)) {
    return { value: new Map(), problems: ['is no JSON object of policies'] }
  }
  const policies = new Map<string, Policy>()
  const problems: string[] = []
  for (const [name, pointers] of Object.entries(parsed)) {
    const policy = policyOf(name, pointers)
    if (typeof policy === 'string') problems.push(`has a policy ${JSON.stringify(name)} ${policy}`)
    else policies.set(name, policy)
  }
  return { value: policies, problems }
}

function tryParse(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

/** The policy, or what is wrong with it. */
function policyOf(name: string, pointers: unknown): Policy | string {
  // One that masks nothing would give everything away.
  if (!Array.isArray(pointers) || pointers.length === 0) return 'that is no list of pointers'
  const keys = pointers.map((pointer: unknown) => (typeof pointer === 'string' ? keysOfPointer(pointer) : null))
  const wrong = keys.indexOf(null)
  if (wrong !== -1)
    return `whose pointer ${wrong + 1} is none: it is empty, or begins with /, and has ~ only as ~0 or ~1`
  const version = createHash('sha256').update(JSON.stringify(pointers)).digest('base64url').slice(0, 16)
  return { name, start: createPlaces(keys.filter((key) => key !== null)), version }
}
