import { type DIGEST_SOURCES, type INTEGRITIES, type Integrity, rowOf, type Snapshot } from '../../model/snapshot.ts'
import { builder } from '../builder.ts'
import { costing } from '../cost.ts'
import { createLoader } from '../loader.ts'
import { SnapshotRef } from './snapshot.ts'

const DigestOfRef = builder.enumType('DigestOf', {
  description: 'What a digest is of.',
  values: {
    PAYLOAD: { description: "Of the payload's bytes as they are read." },
    SOURCE: {
      description: 'Of the text that another writer had before its database re-ordered it: it cannot be checked.',
    },
  } satisfies Record<(typeof DIGEST_SOURCES)[number], object>,
})

const IntegrityRef = builder.enumType('Integrity', {
  description: 'Whether a payload is what its digest says.',
  values: {
    VERIFIED: { description: 'The bytes in storage were read, and have the digest.' },
    MISMATCH: { description: 'The bytes in storage were read, and have another one.' },
    NOT_VERIFIABLE: { description: 'There is no digest of these bytes.' },
    NOT_CHECKED: { description: 'There is one, and nobody has compared them yet.' },
  } satisfies Record<(typeof INTEGRITIES)[number], object>,
})

/** One after the other: each reads a whole payload, and an answer may ask for a hundred of them. */
const loadVerification = createLoader<Snapshot, Integrity>(
  async (snapshots, { verifier, signal }) => {
    const results: (Integrity | Error)[] = []
    for (const snapshot of snapshots) {
      signal.throwIfAborted()
      results.push(await verifier.verify(snapshot, { signal }).then(({ integrity }) => integrity, toError))
    }
    return results
  },
  ({ snapshotId }) => snapshotId,
)

function toError(reason: unknown): Error {
  return reason instanceof Error ? reason : new Error('A verification failed', { cause: reason })
}

builder.objectFields(SnapshotRef, (t) => ({
  digestOf: t.expose('digestOf', {
    type: DigestOfRef,
    nullable: true,
    description: 'Null without a digest, and while no read has shown yet which of two copies it belongs to.',
  }),
  integrity: t.field({
    type: IntegrityRef,
    nullable: true,
    description:
      'Whether the payload is what its digest says: what the last verification found, or what a new one finds. Null when it cannot be read.',
    args: {
      verify: t.arg.boolean({
        defaultValue: false,
        description: 'True reads the payload from where it is stored, and records what that shows.',
      }),
    },
    extensions: costing({ verifications: ({ verify }: { verify?: boolean | null }) => (verify ? 1 : 0) }),
    resolve: (snapshot, { verify }, context) =>
      verify ? loadVerification(context).load(rowOf(snapshot)) : snapshot.integrity,
  }),
}))
