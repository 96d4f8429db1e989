import { Fault } from '../api/fault.ts'
import { useAsk } from '../api/use-ask.ts'
import { formatBytes, formatDuration, formatTime, visible } from '../format.ts'
import { RunDocument, type RunQuery } from '../generated/documents.ts'
import { toRun, toRuns } from '../location.ts'
import { FaultView } from '../parts/fault-view.tsx'
import { Status } from '../parts/status.tsx'
import { Waiting } from '../parts/waiting.tsx'
import { CompareForm } from './compare-form.tsx'
import { Fact } from './fact.tsx'
import { Tags } from './runs.tsx'
import { Steps, useRunLists } from './steps.tsx'

export type RunHead = NonNullable<RunQuery['run']>

/** One run: what became of it, and its steps in time. */
export function RunScreen({ runId }: { readonly runId: string }) {
  const { data, fault, isLoading, again } = useAsk(RunDocument, { runId })
  const lists = useRunLists(runId)
  const run = data?.run
  const retry = () => {
    again()
    lists.steps.again()
    lists.states.again()
  }
  return (
    <section class="page">
      {!run && (
        <h1 class="mono">
          <bdi>{visible(runId)}</bdi>
        </h1>
      )}
      {fault && <FaultView fault={fault} onRetry={retry} />}
      {run === null && <FaultView fault={new Fault('NOT_FOUND', 'There is no such run')} onRetry={retry} />}
      {!data && isLoading && <Waiting rows={10} what="Reading the run" />}
      {run && <Head run={run} />}
      {run && <Steps run={run} {...lists} onChange={again} />}
    </section>
  )
}

function Head({ run }: { readonly run: RunHead }) {
  const { runId, workflowName, status, tags, startedAt, createdAt, durationMs, stats, parentRun } = run
  return (
    <>
      <div class="page-head">
        <h1 class="mono">
          <bdi>{visible(runId)}</bdi>
        </h1>
        <Status of={status} />
        <span class="spacer" />
        <CompareForm run={run} />
      </div>
      <dl class="facts">
        {workflowName && (
          <Fact name="Workflow">
            <a href={toRuns({ workflow: workflowName })}>{visible(workflowName)}</a>
          </Fact>
        )}
        <Fact name="Started">{formatTime(startedAt ?? createdAt)}</Fact>
        <Fact name="Duration">{status === 'RUNNING' ? 'under way' : formatDuration(durationMs)}</Fact>
        {stats && (
          <>
            <Fact name="Steps">{stats.stepCount.toLocaleString('en-US')}</Fact>
            <Fact name="States">
              {stats.snapshotCount.toLocaleString('en-US')}, {formatBytes(stats.totalBytes)}
            </Fact>
          </>
        )}
        {parentRun && (
          <Fact name="Started by">
            <a href={toRun(parentRun.runId)}>{visible(parentRun.runId)}</a>
          </Fact>
        )}
        {tags.length > 0 && (
          <Fact name="Tags">
            <Tags tags={tags} />
          </Fact>
        )}
      </dl>
    </>
  )
}
