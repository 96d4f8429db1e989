import { useAsk } from '../api/use-ask.ts'
import { counted, formatAge, formatBytes, formatCount, formatDuration, formatTime, visible } from '../format.ts'
import { type RunRowFragment, RunsDocument, type RunsQueryVariables } from '../generated/documents.ts'
import { params, toRun, toRuns, withParams } from '../location.ts'
import { FaultView } from '../parts/fault-view.tsx'
import { Icon } from '../parts/icon.tsx'
import { TableBox } from '../parts/scrollable.tsx'
import { Status } from '../parts/status.tsx'
import { Waiting } from '../parts/waiting.tsx'
import { FirstVisit } from './first-visit.tsx'
import { filterOf, hasFilter, RunFilters } from './run-filters.tsx'
import { useNewRuns } from './use-new-runs.ts'

const PAGE = 50

/** All runs, newest first. */
export function RunsScreen() {
  const query = params.value
  const variables = variablesOf(query)
  const { data, fault, isLoading, again } = useAsk(RunsDocument, variables)
  const isFirstPage = !query.has('after') && !query.has('before')
  const news = useNewRuns(isFirstPage && data ? filterOf(query) : undefined, data?.runs.nodes ?? [])
  const isEmpty = data?.runs.nodes.length === 0
  if (isEmpty && !hasFilter(query) && isFirstPage) {
    if (news.count > 0 && !isLoading) again()
    return <FirstVisit />
  }
  return (
    <section class="page">
      <div class="page-head">
        <h1>Runs</h1>
        {data && <span class="muted">{totalOf(data.runs.totalCount)}</span>}
      </div>
      <RunFilters />
      {fault && <FaultView fault={fault} onRetry={again} />}
      {news.count > 0 && (
        <button type="button" class="new-runs" onClick={again}>
          {counted(news.count, 'new run')}
        </button>
      )}
      {isEmpty && (
        <p class="empty">
          No run matches. <a href={toRuns()}>Show all</a>
        </p>
      )}
      {data && !isEmpty && <RunTable runs={data.runs.nodes.map((run) => news.changed.get(run.runId) ?? run)} />}
      {!data && isLoading && <Waiting rows={14} what="Reading runs" />}
      {data && <Pager info={data.runs.pageInfo} />}
    </section>
  )
}

function variablesOf(query: URLSearchParams): RunsQueryVariables {
  const before = query.get('before')
  const size = before === null ? { first: PAGE, after: query.get('after') } : { last: PAGE, before }
  return { ...size, filter: filterOf(query) }
}

const totalOf = (total: number | null | undefined) =>
  total === null || total === undefined ? 'more than 1,000' : formatCount(total)

function RunTable({ runs }: { readonly runs: readonly RunRowFragment[] }) {
  return (
    <TableBox label="Runs">
      <table class="runs">
        <thead>
          <tr>
            <th>Status</th>
            <th>Run</th>
            <th class="wide">Workflow</th>
            <th class="wider">Tags</th>
            <th>Started</th>
            <th class="number">Duration</th>
            <th class="number wide">Steps</th>
            <th class="number wide">States</th>
            <th class="number">Size</th>
          </tr>
        </thead>
        <tbody>
          {runs.map((run) => (
            <RunRow key={run.runId} run={run} />
          ))}
        </tbody>
      </table>
    </TableBox>
  )
}

function RunRow({ run }: { readonly run: RunRowFragment }) {
  const { runId, workflowName, status, tags, startedAt, createdAt, durationMs, stats } = run
  const began = startedAt ?? createdAt
  return (
    <tr>
      <td>
        <Status of={status} />
      </td>
      <td class="name">
        <a href={toRun(runId)}>
          <bdi>{visible(runId)}</bdi>
        </a>
      </td>
      <td class="wide">
        {workflowName && (
          <a class="plain" href={toRuns({ workflow: workflowName })}>
            {visible(workflowName)}
          </a>
        )}
      </td>
      <td class="wider">
        <Tags tags={tags} />
      </td>
      <td class="time">
        <time dateTime={began} title={formatTime(began)}>
          {formatAge(began)}
        </time>
      </td>
      <td class="number">{status === 'RUNNING' ? <span class="muted">under way</span> : formatDuration(durationMs)}</td>
      <td class="number wide">{stats ? formatCount(stats.stepCount) : '–'}</td>
      <td class="number wide">{stats ? formatCount(stats.snapshotCount) : '–'}</td>
      <td class="number">{formatBytes(stats?.totalBytes)}</td>
    </tr>
  )
}

export function Tags({ tags }: { readonly tags: RunRowFragment['tags'] }) {
  return (
    <span class="tags">
      {tags.map(({ key, value }) => (
        <a key={`${key}:${value}`} class="tag" href={toRuns({ tag: `${key}:${value}` })}>
          <bdi>
            {visible(key)}:{visible(value)}
          </bdi>
        </a>
      ))}
    </span>
  )
}

interface PagerProps {
  readonly info: {
    readonly hasNextPage: boolean
    readonly hasPreviousPage: boolean
    readonly startCursor?: string | null
    readonly endCursor?: string | null
  }
}

function Pager({ info }: PagerProps) {
  const { hasNextPage, hasPreviousPage, startCursor, endCursor } = info
  const isFirst = !hasPreviousPage && !params.value.has('after')
  if (isFirst && !hasNextPage) return null
  return (
    <nav class="pager" aria-label="Pages">
      {!isFirst && startCursor && (
        <a class="button" href={withParams({ before: startCursor, after: null })}>
          <Icon name="arrow-left" /> Newer
        </a>
      )}
      {hasNextPage && endCursor && (
        <a class="button" href={withParams({ after: endCursor, before: null })}>
          Older <Icon name="arrow-right" />
        </a>
      )}
    </nav>
  )
}
