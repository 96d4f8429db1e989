import type { Viewer } from '../auth/viewer.ts'
import type { Snapshot } from '../model/snapshot.ts'
import type { Policies, Policy } from './policies.ts'

/** What a viewer may have of a state: all of it, what a policy leaves, or nothing. */
export type Reading = 'whole' | 'no' | { readonly masked: Policy }

/** What the decision is made by. */
export type Read = Pick<Snapshot, 'piiTags' | 'redactionPolicy'>

/** The one decision on states, which every way to their bytes asks. */
export type MayRead = (viewer: Viewer, snapshot: Read) => Reading

/** @param policies as they are now. */
export function createMayRead(policies: () => Policies): MayRead {
  return ({ scopes }, snapshot) => {
    if (!scopes.has('read')) return 'no'
    if (scopes.has('pii:read')) return 'whole'
    const { piiTags, redactionPolicy } = snapshot
    // What was not read with its row is not known to be free of them.
    if (piiTags?.length === 0) return 'whole'
    const policy = redactionPolicy == null ? undefined : policies().get(redactionPolicy)
    return policy ? { masked: policy } : 'no'
  }
}
