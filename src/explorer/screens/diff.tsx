import { Fault } from '../api/fault.ts'
import { useAsk } from '../api/use-ask.ts'
import { counted, formatBytes, visible } from '../format.ts'
import { DiffDocument, type DiffQuery } from '../generated/documents.ts'
import { params, setParams, toState, withParams } from '../location.ts'
import { FaultView } from '../parts/fault-view.tsx'
import { Waiting } from '../parts/waiting.tsx'
import { DiffChanges } from './diff-changes.tsx'
import { ExportPatch } from './export-patch.tsx'
import type { SnapshotHead } from './state.tsx'

export type DiffHead = NonNullable<NonNullable<DiffQuery['snapshotById']>['diff']>

/** What leads from another state to this one. */
export function DiffView({ snapshot }: { readonly snapshot: SnapshotHead }) {
  const vs = params.value.get('vs') ?? 'previous'
  const pointer = params.value.get('at') ?? ''
  const question = { id: snapshot.snapshotId, from: vs === 'previous' ? null : vs, pointer }
  const { data, fault, faults, isLoading, again } = useAsk(DiffDocument, question)
  const diff = data?.snapshotById?.diff
  const failure = fault ?? (diff ? undefined : faults[0])
  const elsewhere = pointer !== '' && (
    <button type="button" onClick={() => setParams({ at: null })}>
      Compare the whole states
    </button>
  )
  return (
    <div class="diff">
      {failure && (
        <FaultView fault={failure} onRetry={again}>
          {elsewhere}
          <a href={withParams({ vs: null })}>The state itself</a>
        </FaultView>
      )}
      {!data && isLoading && <Waiting rows={10} what="Comparing" />}
      {diff && (
        <>
          <DiffBar diff={diff} snapshot={snapshot} pointer={pointer} />
          {!diff.from && vs === 'previous' && <FirstState />}
          {diff.from && diff.identical && <p class="empty">Both states are the same.</p>}
          {diff.summary && !diff.identical && diff.from && pointer === '' && <Summary diff={diff} />}
          {!diff.identical && diff.from && <DiffChanges question={question} snapshot={snapshot} from={diff.from} />}
        </>
      )}
    </div>
  )
}

function FirstState() {
  return (
    <FaultView fault={new Fault('NO_PREVIOUS', 'This is the first state of its run: there is none to compare it with')}>
      <a href={withParams({ vs: null })}>The state itself</a>
    </FaultView>
  )
}

interface DiffBarProps {
  readonly diff: DiffHead
  readonly snapshot: SnapshotHead
  readonly pointer: string
}

function DiffBar({ diff: { from }, snapshot, pointer }: DiffBarProps) {
  if (!from) return null
  const isOther = from.runId !== snapshot.runId
  return (
    <p class="diff-bar">
      <span>
        <span class="removed-text">−</span>{' '}
        <a href={toState(from.runId, from.snapshotId)}>
          {isOther && <bdi>{visible(from.runId)} · </bdi>}
          {visible(from.stepId ?? 'run')} {from.kind.toLowerCase()} {from.seq}
        </a>{' '}
        <span class="muted">{formatBytes(from.sizeBytes)}</span>
      </span>
      <span>
        <span class="added-text">+</span>{' '}
        <a href={withParams({ vs: null })}>
          {isOther && <bdi>{visible(snapshot.runId)} · </bdi>}
          {visible(snapshot.stepId ?? 'run')} {snapshot.kind.toLowerCase()} {snapshot.seq}
        </a>{' '}
        <span class="muted">{formatBytes(snapshot.sizeBytes)}</span>
      </span>
      {pointer !== '' && (
        <span>
          below <span class="mono">{pointer}</span>{' '}
          <button type="button" class="link" onClick={() => setParams({ at: null })}>
            compare all
          </button>
        </span>
      )}
      <span class="spacer" />
      <ExportPatch from={from} snapshot={snapshot} pointer={pointer} />
    </p>
  )
}

const SIGNS = { EQUAL: '=', CHANGED: '●', ADDED: '+', REMOVED: '−' }

/** Top-level keys that differ, by what the indexes alone tell; the others are folded into their number. */
function Summary({ diff: { summary } }: { readonly diff: DiffHead }) {
  const all = summary ?? []
  const changed = all.filter(({ status }) => status !== 'EQUAL')
  const equal = all.length - changed.length
  return (
    <ul class="summary" aria-label="Top-level keys">
      {changed.map(({ key, pointer, status, fromSizeBytes, toSizeBytes }) => (
        <li key={pointer} data-op={status}>
          <a href={withParams({ at: pointer })}>
            <span class="sign">{SIGNS[status]}</span> <bdi class="mono">{visible(key)}</bdi>
          </a>{' '}
          <span class="muted">{sizesOf(fromSizeBytes, toSizeBytes)}</span>
        </li>
      ))}
      {equal > 0 && <li class="muted">{counted(equal, 'key')} unchanged</li>}
    </ul>
  )
}

function sizesOf(from: number | null | undefined, to: number | null | undefined): string {
  if (from === null || from === undefined) return formatBytes(to)
  if (to === null || to === undefined) return formatBytes(from)
  return from === to ? formatBytes(to) : `${formatBytes(from)} → ${formatBytes(to)}`
}
