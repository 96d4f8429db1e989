import { formatBytes, formatDuration, formatTime, visible } from '../format.ts'
import type { MarkFragment, StepRowFragment } from '../generated/documents.ts'
import { params, toState, withParams } from '../location.ts'
import { Status } from '../parts/status.tsx'
import { ErrorBox } from './error-box.tsx'
import type { TimeScale } from './gantt.ts'

interface MarksProps {
  readonly states: readonly MarkFragment[]
  readonly scale: TimeScale
  readonly runId: string
  /** What the states belong to; what was captured outside of it is drawn in it, in its order. */
  readonly span?: { readonly from: number; readonly to: number } | undefined
}

export interface StepRowProps extends Omit<MarksProps, 'span'> {
  readonly step: StepRowFragment
  /** For what has not ended. */
  readonly now: number
}

/** A step; when it is chosen, also its failure and each of its states. */
export function StepRow({ step, states, scale, runId, now }: StepRowProps) {
  const { stepId, name, kind, status, attempt, durationMs, error } = step
  const isChosen = params.value.get('step') === stepId
  return (
    <>
      <tr class={isChosen ? 'chosen' : undefined}>
        <td class="name">
          <a href={withParams({ step: isChosen ? null : stepId })} aria-expanded={isChosen}>
            <bdi>{visible(name ?? stepId)}</bdi>
          </a>
          {kind && <span class="muted kind">{visible(kind)}</span>}
          {attempt > 1 && <span class="badge">attempt {attempt}</span>}
        </td>
        <td>
          <Status of={status} />
        </td>
        <td class="gantt">
          <Lane step={step} states={states} scale={scale} runId={runId} now={now} />
        </td>
        <td class="number">
          {status === 'RUNNING' ? <span class="muted">under way</span> : formatDuration(durationMs)}
        </td>
        <td class="number">
          <LastState states={states} runId={runId} of={stepId} />
        </td>
      </tr>
      {isChosen && (
        <tr class="detail">
          <td colSpan={5}>
            {error && <ErrorBox error={error} title={`Why ${visible(stepId)} failed`} />}
            <StateList states={states} runId={runId} />
          </td>
        </tr>
      )}
    </>
  )
}

/** States that belong to no step. */
export function RunStates({ states, scale, runId }: MarksProps) {
  return (
    <tr>
      <td class="name muted">states of the run alone</td>
      <td />
      <td class="gantt">
        <div class="lane">
          <Marks states={states} scale={scale} runId={runId} />
        </div>
      </td>
      <td />
      <td class="number">
        <LastState states={states} runId={runId} of="the run" />
      </td>
    </tr>
  )
}

function LastState({ states, runId, of }: Pick<MarksProps, 'states' | 'runId'> & { readonly of: string }) {
  const last = states.at(-1)
  if (!last) return <>–</>
  const size = formatBytes(last.sizeBytes)
  return (
    <a href={toState(runId, last.snapshotId)} aria-label={`State of ${visible(of)}, ${size}`}>
      {size}
    </a>
  )
}

function Lane({ step, states, scale, runId, now }: StepRowProps) {
  const { startedAt, endedAt, status } = step
  const from = startedAt ? scale.at(Date.parse(startedAt)) : undefined
  const to = from === undefined ? undefined : scale.at(endedAt ? Date.parse(endedAt) : now)
  const span = from === undefined || to === undefined ? undefined : { from, to }
  return (
    <div class="lane">
      {scale.gaps.map(({ start, end, millis }) => (
        <span
          key={start}
          class="gap"
          title={`${formatDuration(millis)} in which nothing ran`}
          style={{ left: `${start}%`, width: `${end - start}%` }}
        />
      ))}
      {span && (
        <span class="stroke" data-status={status} style={{ left: `${span.from}%`, width: `${span.to - span.from}%` }} />
      )}
      <Marks states={states} scale={scale} runId={runId} span={span} />
    </div>
  )
}

function Marks({ states, scale, runId, span }: MarksProps) {
  const placed = states.map(({ createdAt }) => scale.at(Date.parse(createdAt)))
  const isWithin = span === undefined || placed.every((at) => at >= span.from && at <= span.to)
  const atOf = (index: number) =>
    isWithin ? placed[index] : span.from + ((index + 1) / states.length) * (span.to - span.from)
  return (
    <>
      {states.map((state, index) => (
        <a
          key={state.snapshotId}
          class="state-mark"
          data-kind={state.kind}
          href={toState(runId, state.snapshotId)}
          tabIndex={-1}
          title={titleOf(state)}
          style={{ left: `${atOf(index)}%` }}
        >
          <span class="visually-hidden">{titleOf(state)}</span>
        </a>
      ))}
    </>
  )
}

/** The states of one step, each with the way to it and to what it changed. */
function StateList({ states, runId }: Pick<MarksProps, 'states' | 'runId'>) {
  if (states.length === 0) return <p class="muted">No state of this step has been captured.</p>
  return (
    <ul class="state-list">
      {states.map(({ snapshotId, kind, seq, sizeBytes, createdAt, attempt }) => (
        <li key={snapshotId}>
          <a href={toState(runId, snapshotId)}>
            {kind.toLowerCase()} {seq}
          </a>
          <span>{formatBytes(sizeBytes)}</span>
          <span class="muted">{formatTime(createdAt)}</span>
          {attempt > 1 && <span class="badge">attempt {attempt}</span>}
          <a href={toState(runId, snapshotId, { vs: 'previous' })}>what changed</a>
        </li>
      ))}
    </ul>
  )
}

const titleOf = ({ kind, seq, sizeBytes, createdAt }: MarkFragment) =>
  `${kind.toLowerCase()} ${seq}, ${formatBytes(sizeBytes)}, ${formatTime(createdAt)}`
