import { sql } from 'kysely'
import type { Rows } from '../../src/db/connect.ts'

/** What a statement cost PostgreSQL. */
export interface Cost {
  /** Added up over all that it scanned: rows, and entries of indexes that rows are then fetched by. */
  readonly rows: number
  /** Pages, wherever they lay. */
  readonly blocks: number
}

interface PlanNode {
  readonly 'Node Type': string
  readonly 'Relation Name'?: string
  readonly 'Actual Rows': number
  readonly 'Actual Loops': number
  readonly 'Rows Removed by Filter'?: number
  readonly 'Rows Removed by Index Recheck'?: number
  readonly 'Shared Hit Blocks'?: number
  readonly 'Shared Read Blocks'?: number
  readonly Plans?: readonly PlanNode[]
}

/** Executes the statements of `read` twice: as they are, and to see what they cost together. */
export async function costOf<T>(db: Rows, read: (db: Rows) => Promise<T>): Promise<Cost & { readonly result: T }> {
  const cost = { rows: 0, blocks: 0 }
  const result = await read({
    async rows(query, options) {
      const [[plan] = []] = await db.rows(sql`explain (analyze, buffers, timing off, format json) ${query}`)
      const [{ Plan: root }] = JSON.parse(String(plan)) as [{ Plan: PlanNode }]
      cost.rows += rowsOf(root)
      cost.blocks += (root['Shared Hit Blocks'] ?? 0) + (root['Shared Read Blocks'] ?? 0)
      return await db.rows(query, options)
    },
  })
  return { ...cost, result }
}

function rowsOf(node: PlanNode): number {
  const scanned = node['Relation Name'] !== undefined || node['Node Type'] === 'Bitmap Index Scan'
  const removed = (node['Rows Removed by Filter'] ?? 0) + (node['Rows Removed by Index Recheck'] ?? 0)
  const own = scanned ? (node['Actual Rows'] + removed) * node['Actual Loops'] : 0
  return (node.Plans ?? []).reduce((sum, below) => sum + rowsOf(below), own)
}
