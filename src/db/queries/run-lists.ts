import { sql } from 'kysely'
import type { Fields } from '../../model/fields.ts'
import type { Page, PageRequest } from '../../model/page.ts'
import type { Run, RunFilter, RunOrder } from '../../model/run.ts'
import type { Rows } from '../connect.ts'
import { pageParts } from '../keyset.ts'
import { runList } from './run-filter.ts'
import { isSearch, searchRuns } from './run-search.ts'
import { projectRun } from './runs.ts'

export interface RunPageOptions {
  readonly filter: RunFilter
  readonly order: RunOrder
  readonly fields: Fields<Run>
}

/** A page of the runs that the filter lets through. */
export async function pageRuns(db: Rows, page: PageRequest, options: RunPageOptions): Promise<Page<Run>> {
  const { filter, order, fields } = options
  if (isSearch(filter)) return await searchRuns(db, page, options)
  const { columns, read } = projectRun(fields)
  const parts = pageParts(runList(filter, order), page)
  const rows = await db.rows(
    sql`select ${parts.select}, ${columns} from (select) p${parts.from} order by ${parts.order}`,
  )
  const { items, ...ends } = parts.read(rows, 0)
  return { ...ends, items: items.map((row) => read(row, parts.width)) }
}
