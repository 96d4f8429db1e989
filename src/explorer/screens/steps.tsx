import { useEffect, useMemo, useState } from 'preact/hooks'
import { visible } from '../format.ts'
import { type MarkFragment, SnapshotsDocument, type StepRowFragment, StepsDocument } from '../generated/documents.ts'
import { params, setParams, withParams } from '../location.ts'
import { FaultView } from '../parts/fault-view.tsx'
import { Icon } from '../parts/icon.tsx'
import { useKeys } from '../parts/keys.ts'
import { TableBox } from '../parts/scrollable.tsx'
import { Waiting } from '../parts/waiting.tsx'
import { ErrorBox } from './error-box.tsx'
import { createTimeScale } from './gantt.ts'
import { LiveLine } from './live-line.tsx'
import type { RunHead } from './run.tsx'
import { RunStates, StepRow } from './step-row.tsx'
import { type PagedList, usePages } from './use-pages.ts'
import { scrollToEnd, useRunEvents } from './use-run-events.ts'

/** What a run consists of. */
export interface RunLists {
  readonly steps: PagedList<StepRowFragment>
  readonly states: PagedList<MarkFragment>
}

/** Asked for at once, whatever is known of the run. */
export function useRunLists(runId: string): RunLists {
  const steps = usePages({
    document: StepsDocument,
    variablesAt: (after) => ({ runId, after }),
    pageIn: (data) => data.run?.steps,
    keyOf: ({ stepId }) => stepId,
    pages: 3,
  })
  const states = usePages({
    document: SnapshotsDocument,
    variablesAt: (after) => ({ runId, after }),
    pageIn: (data) => data.run?.snapshots,
    keyOf: ({ snapshotId }) => snapshotId,
    pages: 5,
  })
  return { steps, states }
}

export interface StepsProps extends RunLists {
  readonly run: RunHead
  /** Told when something has happened to the run while it was followed. */
  readonly onChange: () => void
}

/** Steps as rows of a table, and their time and states on the same rows. */
export function Steps({ run, steps, states, onChange }: StepsProps) {
  const { runId } = run
  const isFollowing = params.value.has('follow')
  const toggle = () => {
    setParams({ follow: isFollowing ? null : '1' }, { isReplacing: true })
    if (!isFollowing) scrollToEnd()
  }
  useKeys({ f: toggle })
  const live = useRunEvents(isFollowing ? runId : null, { steps, states, onChange })
  const failed = steps.items.find(({ status }) => status === 'FAILED' || status === 'TIMED_OUT')
  return (
    <>
      {run.error && (
        <ErrorBox error={run.error} title="Why it failed">
          {failed && (
            <a href={withParams({ step: failed.stepId })}>
              in <bdi>{visible(failed.name ?? failed.stepId)}</bdi>
            </a>
          )}
        </ErrorBox>
      )}
      <div class="section-head">
        <h2>Steps</h2>
        <label class="check">
          <input
            type="checkbox"
            checked={isHiding()}
            onChange={(event) =>
              setParams({ hide: event.currentTarget.checked ? 'succeeded' : null }, { isReplacing: true })
            }
          />
          Hide succeeded
        </label>
        <span class="spacer" />
        <LiveLine {...live} />
        <button type="button" aria-pressed={isFollowing} title="Follow (f)" onClick={toggle}>
          <Icon name="radio" /> Follow
        </button>
      </div>
      <StepTable run={run} steps={steps} states={states} />
      {live.waiting > 0 && (
        <button type="button" class="primary resume" onClick={live.resume}>
          {live.waiting} new · resume
        </button>
      )}
    </>
  )
}

const isHiding = () => params.value.get('hide') === 'succeeded'

type StepTableProps = Omit<StepsProps, 'onChange'>

function StepTable({ run: { runId }, steps, states }: StepTableProps) {
  const now = useNow(steps.items.some(({ status }) => status === 'RUNNING'))
  const scale = useMemo(
    () => createTimeScale(spansOf(steps.items, states.items, now)),
    [steps.items, states.items, now],
  )
  const byStep = useMemo(() => Map.groupBy(states.items, ({ stepId }) => stepId ?? ''), [states.items])
  const shown = steps.items.filter(({ status }) => !isHiding() || status !== 'SUCCEEDED')
  const ofRun = byStep.get('') ?? []
  const fault = steps.fault ?? states.fault
  return (
    <>
      {fault && <FaultView fault={fault} onRetry={steps.fault ? steps.again : states.again} />}
      {steps.isLoading && steps.items.length === 0 && <Waiting rows={8} what="Reading steps" />}
      {(shown.length > 0 || ofRun.length > 0) && (
        <TableBox label="Steps">
          <table class="steps">
            <thead>
              <tr>
                <th>Step</th>
                <th>Status</th>
                <th class="gantt-head">Time{scale.gaps.length > 0 && ' (hatched: nothing ran, cut short)'}</th>
                <th class="number">Duration</th>
                <th class="number">Last state</th>
              </tr>
            </thead>
            <tbody>
              {shown.map((step) => (
                <StepRow
                  key={step.stepId}
                  step={step}
                  states={byStep.get(step.stepId) ?? []}
                  scale={scale}
                  runId={runId}
                  now={now}
                />
              ))}
              {ofRun.length > 0 && <RunStates states={ofRun} scale={scale} runId={runId} />}
            </tbody>
          </table>
        </TableBox>
      )}
      {!steps.isLoading && shown.length === 0 && ofRun.length === 0 && !fault && (
        <p class="empty">{steps.items.length > 0 ? 'Every step succeeded.' : 'No step has been recorded.'}</p>
      )}
      <More list={steps} text="More steps" />
      <More list={states} text={`More states than these ${states.items.length}`} />
    </>
  )
}

function More({ list, text }: { readonly list: PagedList<unknown>; readonly text: string }) {
  if (!list.hasMore || list.isLoading) return null
  return (
    <p class="pager">
      <button type="button" onClick={list.more}>
        {text}
      </button>
    </p>
  )
}

/** The time, by the second while something is under way. */
function useNow(isTicking: boolean): number {
  const [now, setNow] = useState(Date.now)
  useEffect(() => {
    if (!isTicking) return
    const timer = setInterval(() => setNow(Date.now()), 1000)
    return () => clearInterval(timer)
  }, [isTicking])
  return now
}

function spansOf(steps: readonly StepRowFragment[], states: readonly MarkFragment[], now: number) {
  const ofSteps = steps.flatMap(({ startedAt, endedAt }) => {
    const start = startedAt ? Date.parse(startedAt) : Number.NaN
    return Number.isNaN(start) ? [] : [{ start, end: Math.max(start, endedAt ? Date.parse(endedAt) : now) }]
  })
  if (ofSteps.length > 0) return ofSteps
  const moments = states.map(({ createdAt }) => Date.parse(createdAt))
  return moments.length > 0 ? [{ start: Math.min(...moments), end: Math.max(...moments) + 1 }] : []
}
