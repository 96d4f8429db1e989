import { useEffect, useState } from 'preact/hooks'
import { useFollow } from '../api/use-follow.ts'
import { type RunFilter, type RunRowFragment, RunsUpdatedDocument } from '../generated/documents.ts'

export interface NewRuns {
  /** Runs that are not in the list: they wait until somebody asks for them, so that no row jumps. */
  readonly count: number
  /** What has become of runs that are, by their id. */
  readonly changed: ReadonlyMap<string, RunRowFragment>
}

/** @param filter that of the list; undefined: nothing is followed. */
export function useNewRuns(filter: RunFilter | null | undefined, runs: readonly RunRowFragment[]): NewRuns {
  const [told, setTold] = useState<ReadonlyMap<string, RunRowFragment>>(new Map())
  // What the list was read anew for is in it.
  useEffect(() => setTold(new Map()), [runs])
  useFollow({
    document: RunsUpdatedDocument,
    variables: filter === undefined ? null : { filter },
    cursorOf: (data) => data.runsUpdated.cursor,
    onEvents(events) {
      const rows = events.flatMap(({ runsUpdated }) =>
        runsUpdated.__typename === 'RunUpdated' && runsUpdated.run ? [runsUpdated.run] : [],
      )
      if (rows.length > 0) setTold((old) => new Map([...old, ...rows.map((run) => [run.runId, run] as const)]))
    },
  })
  const listed = new Set(runs.map(({ runId }) => runId))
  const newest = runs[0]?.createdAt ?? ''
  const count = [...told.values()].filter(({ runId, createdAt }) => !listed.has(runId) && createdAt >= newest).length
  return { count, changed: told }
}
