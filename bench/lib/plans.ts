import { createDatabase } from '../../src/db/connect.ts'
import type { PageRequest } from '../../src/model/page.ts'
import { type ListOfMany, listsOfMany } from '../../test/support/list-pages.ts'
import { fillMany, type Scale } from '../../test/support/many-rows.ts'
import { costOf } from '../../test/support/rows-read.ts'
import { withClient } from './database.ts'
import { note, print, printTable } from './report.ts'

const SIZE = 20
const HUNDREDTH = 99 * SIZE
const FIRST: PageRequest = {
  size: SIZE,
  backward: false,
  after: null,
  before: null,
  wantsEnds: true,
  wantsTotal: false,
}
const BAR = 10

/** Fills large tables in less time: their indexes are made when the rows are there. */
export async function fillLarge(url: string, scale: Scale): Promise<void> {
  const indexes = await withClient(url, async (client) => {
    const { rows } = await client.query<{ name: string; definition: string }>(
      `select indexname as name, indexdef as definition from pg_indexes
       where schemaname = current_schema() and tablename = 'state_snapshots' and indexname !~ 'pkey'`,
    )
    for (const { name } of rows) await client.query(`drop index ${name}`)
    return rows
  })
  await fillMany(url, scale, note)
  await withClient(url, async (client) => {
    await client.query("set maintenance_work_mem = '1GB'")
    for (const { name, definition } of indexes) {
      note(name)
      await client.query(definition)
    }
    await client.query('vacuum analyze state_snapshots')
  })
}

interface Measured {
  readonly name: string
  readonly what: string
  readonly given: number
  readonly rows: number
  readonly blocks: number
  readonly millis: number
}

/** What PostgreSQL reads for each page and each total of every list, and which of them are more than ten rows for each that is given. */
export async function measurePlans(url: string, scale: Scale): Promise<void> {
  const db = createDatabase({ url: `${url}?statement_timeout=120000&query_timeout=150000`, maxConnections: 4 })
  const measured: Measured[] = []
  const measure = async (list: ListOfMany, what: string, page: PageRequest) => {
    const { rows, blocks, result } = await costOf(db, (counted) => list.read(counted, page))
    const began = performance.now()
    await list.read(db, page)
    const millis = performance.now() - began
    const given = page.wantsTotal ? (result.totalCount ?? 1001) : SIZE
    measured.push({ name: list.name, what, given, rows, blocks, millis })
    return result
  }
  for (const list of listsOfMany(scale)) {
    note(list.name)
    await measure(list, 'first page', FIRST)
    const before = await list.read(db, { ...FIRST, size: HUNDREDTH, wantsEnds: false })
    const cursor = before.hasNextPage ? before.items.at(-1) : undefined
    if (cursor) await measure(list, 'hundredth page', { ...FIRST, after: cursor })
    await measure(list, 'total', { ...FIRST, size: 0, wantsTotal: true })
  }
  await db.close()
  report(measured)
}

function report(measured: readonly Measured[]): void {
  const share = ({ rows, given }: Measured) => rows / Math.max(given, SIZE)
  const above = measured.filter((one) => share(one) > BAR)
  const slowest = measured.toSorted((a, b) => b.millis - a.millis).slice(0, 10)
  print(
    `\n${measured.length} pages and totals of ${new Set(measured.map(({ name }) => name)).size} lists; ${above.length} above the bar.\n`,
  )
  const line = ({ name, what, given, rows, blocks, millis }: Measured) => [
    name,
    what,
    String(given),
    rows.toFixed(0),
    String(blocks),
    millis.toFixed(1),
  ]
  const head = ['list', 'what', 'rows given', 'rows read', 'blocks', 'ms']
  if (above.length > 0) printTable([`more than ${BAR} rows for each given`, ...head.slice(1)], above.map(line))
  printTable(['the slowest', ...head.slice(1)], slowest.map(line))
}
