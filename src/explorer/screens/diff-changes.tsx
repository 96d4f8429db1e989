import { useState } from 'preact/hooks'
import { counted, formatBytes, shorten, visible } from '../format.ts'
import { ChangesDocument, type ChangesQuery } from '../generated/documents.ts'
import { toState } from '../location.ts'
import { FaultView } from '../parts/fault-view.tsx'
import { useKeys } from '../parts/keys.ts'
import { Waiting } from '../parts/waiting.tsx'
import { parentOf } from '../pointer.ts'
import { previewOf } from '../tree/source.ts'
import { ChangedValue, isShort } from './changed-value.tsx'
import type { DiffHead } from './diff.tsx'
import type { SnapshotHead } from './state.tsx'
import { useChanges } from './use-changes.ts'

export type Change = NonNullable<
  NonNullable<NonNullable<ChangesQuery['snapshotById']>['diff']>['changes']
>['nodes'][number]

export interface DiffQuestion {
  readonly id: string
  readonly from: string | null
  readonly pointer: string
}

export interface DiffChangesProps {
  readonly question: DiffQuestion
  readonly snapshot: SnapshotHead
  readonly from: NonNullable<DiffHead['from']>
}

/** The places that differ, in the order of the new state; what is alike is not there. */
export function DiffChanges({ question, snapshot, from }: DiffChangesProps) {
  const { changes, bytesRead, hasMore, isApproximate, isLoading, fault, more } = useChanges(ChangesDocument, question)
  const [here, setHere] = useState(-1)
  const goTo = (index: number) => {
    const next = Math.min(Math.max(index, 0), changes.length - 1)
    setHere(next)
    const row = document.getElementById(`change-${next}`)
    row?.scrollIntoView({ block: 'center' })
    row?.focus({ preventScroll: true })
  }
  useKeys({ n: () => goTo(here + 1), p: () => goTo(here - 1) })
  const whole = (snapshot.sizeBytes ?? 0) + (from.sizeBytes ?? 0)
  return (
    <>
      <p class="muted diff-cost" role="status">
        {changes.length > 0 && `${counted(changes.length, 'change')}${hasMore ? ' so far' : ''} · `}
        {changes.length > 0 && `read ${formatBytes(bytesRead)} of ${formatBytes(whole)}`}
        {isApproximate && ' · some arrays were compared by position'}
      </p>
      <ol class="changes">
        {changes.map((change, index) => (
          <ChangeRow
            key={`${index}`}
            id={`change-${index}`}
            change={change}
            isSame={index > 0 && parentOf(changes[index - 1]?.pointer ?? '') === parentOf(change.pointer)}
            isHere={index === here}
            snapshot={snapshot}
            from={from}
          />
        ))}
      </ol>
      {fault && <FaultView fault={fault} onRetry={more} />}
      {isLoading && <Waiting rows={changes.length === 0 ? 8 : 3} what="Comparing" />}
      {hasMore && !isLoading && (
        <p class="pager">
          <button type="button" onClick={more}>
            More changes
          </button>
        </p>
      )}
    </>
  )
}

const SIGNS: Readonly<Record<Change['op'], string>> = { ADDED: '+', REMOVED: '−', CHANGED: '●', MOVED: '→' }

/** Short values stand beside their name. */
function InlineValues({ change: { op, before, after } }: { readonly change: Change }) {
  if (!isShort(before) || !isShort(after) || (before?.type === 'STRING' && after?.type === 'STRING')) return null
  return (
    <span class="mono">
      {before && op !== 'MOVED' && <del>{visible(previewOf(before))}</del>}{' '}
      {after && <ins>{visible(previewOf(after))}</ins>}
    </span>
  )
}

interface ChangeRowProps extends Pick<DiffChangesProps, 'snapshot' | 'from'> {
  readonly id: string
  readonly change: Change
  /** Whether it lies beside the one before. */
  readonly isSame: boolean
  readonly isHere: boolean
}

function ChangeRow({ id, change, isSame, isHere, snapshot, from }: ChangeRowProps) {
  const { op, pointer, fromPointer } = change
  const parent = parentOf(pointer) ?? ''
  const name = pointer.slice(parent.length + 1)
  const place =
    op === 'REMOVED'
      ? toState(from.runId, from.snapshotId, { at: fromPointer ?? pointer })
      : toState(snapshot.runId, snapshot.snapshotId, { at: pointer })
  return (
    <li id={id} tabIndex={-1} class={isHere ? 'change here' : 'change'} data-op={op}>
      {!isSame && <p class="branch mono">{parent === '' ? 'top level' : visible(shorten(parent, 200))}</p>}
      <p class="change-head">
        <span class="sign" aria-hidden="true">
          {SIGNS[op]}
        </span>
        <span class="visually-hidden">{op.toLowerCase()}</span>
        <a class="mono" href={place}>
          <bdi>
            {visible(shorten(name === '' ? 'the whole' : name.replaceAll('~1', '/').replaceAll('~0', '~'), 120))}
          </bdi>
        </a>
        <InlineValues change={change} />
        {fromPointer && fromPointer !== pointer && (
          <span class="muted mono">from {visible(shorten(fromPointer, 120))}</span>
        )}
      </p>
      <ChangedValue change={change} snapshotId={snapshot.snapshotId} fromId={from.snapshotId} />
    </li>
  )
}
