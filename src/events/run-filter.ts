import { compareInstants } from '../model/instant.ts'
import type { Run, RunFilter } from '../model/run.ts'

/** Whether a run is one of a list with this filter. */
export function matchesRun(run: Run, filter: RunFilter): boolean {
  const { status, workflowName, tags, parentRunId, createdFrom, createdBefore, search, hasErrors } = filter
  const startsWith = (text: string | null) => text?.startsWith(search ?? '') === true
  const isFailed = run.error !== null || run.status === 'FAILED' || run.status === 'TIMED_OUT'
  return (
    (status == null || status.includes(run.status)) &&
    (workflowName == null || run.workflowName === workflowName) &&
    (parentRunId == null || run.parentRunId === parentRunId) &&
    (hasErrors == null || isFailed === hasErrors) &&
    (!search || startsWith(run.runId) || startsWith(run.workflowName)) &&
    (createdFrom == null || compareInstants(run.createdAt, createdFrom) >= 0) &&
    (createdBefore == null || compareInstants(run.createdAt, createdBefore) < 0) &&
    (tags ?? []).every(({ key, value }) => run.tags.some((tag) => tag.key === key && tag.value === value))
  )
}
