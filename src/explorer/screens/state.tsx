import { useRef } from 'preact/hooks'
import { Fault } from '../api/fault.ts'
import { useAsk } from '../api/use-ask.ts'
import { SnapshotDocument, type SnapshotQuery } from '../generated/documents.ts'
import { go, params, setParams, toState } from '../location.ts'
import { FaultView } from '../parts/fault-view.tsx'
import { type KeyMap, useKeys } from '../parts/keys.ts'
import { notify } from '../parts/notices.tsx'
import { Waiting } from '../parts/waiting.tsx'
import { DiffView } from './diff.tsx'
import { FollowBar, toggleFollow } from './follow-bar.tsx'
import { StateBody } from './state-body.tsx'
import { StateHead } from './state-head.tsx'
import { useNewest } from './use-newest.ts'

export type SnapshotHead = NonNullable<SnapshotQuery['snapshotById']>

export interface StateScreenProps {
  readonly runId: string
  readonly snapshotId: string
}

/** One state: what is known of it, and then itself, or what it changed. */
export function StateScreen({ snapshotId }: StateScreenProps) {
  const { data, fault, isLoading, again } = useAsk(SnapshotDocument, { id: snapshotId })
  // The one before stays until this one is there.
  const last = useRef<SnapshotHead | undefined>(undefined)
  const snapshot = data ? (data.snapshotById ?? undefined) : isLoading ? last.current : undefined
  last.current = snapshot
  const isDiff = params.value.has('vs')
  const newest = useNewest(snapshot)
  useKeys({ ...keysOf(snapshot, isDiff), f: toggleFollow })
  const touch = { onPointerDown: newest.pause, onWheel: newest.pause, onKeyDown: newest.pause }
  return (
    <section class="page state">
      {!snapshot && <h1>State</h1>}
      {fault && <FaultView fault={fault} onRetry={again} />}
      {data?.snapshotById === null && (
        <FaultView fault={new Fault('NOT_FOUND', 'There is no such state')} onRetry={again} />
      )}
      {!snapshot && isLoading && <Waiting rows={12} what="Reading the state" />}
      {snapshot && (
        <>
          <StateHead snapshot={snapshot} />
          <FollowBar snapshot={snapshot} newest={newest} />
          <div class="state-body" {...touch}>
            {isDiff ? <DiffView snapshot={snapshot} /> : <StateBody snapshot={snapshot} />}
          </div>
        </>
      )}
    </section>
  )
}

/** The state before or after in the run, at the same place, with what has changed since marked. */
export function toNeighbour(snapshot: SnapshotHead, neighbour: { readonly snapshotId: string }): string {
  const kept = Object.fromEntries(['at', 'view', 'vs', 'follow'].flatMap((name) => pick(name)))
  const was: Readonly<Record<string, string>> = 'vs' in kept ? {} : { was: snapshot.snapshotId }
  return toState(snapshot.runId, neighbour.snapshotId, { ...kept, ...was })
}

function pick(name: string): [string, string][] {
  const value = params.value.get(name)
  return value === null ? [] : [[name, value]]
}

function keysOf(snapshot: SnapshotHead | null | undefined, isDiff: boolean): KeyMap {
  if (!snapshot) return {}
  const { previous, next } = snapshot
  return {
    ',': () => (previous ? go(toNeighbour(snapshot, previous)) : notify('This is the first state of the run')),
    '.': () => (next ? go(toNeighbour(snapshot, next)) : notify('This is the last state of the run')),
    d: () => setParams({ vs: isDiff ? null : (params.value.get('was') ?? 'previous') }),
  }
}
