import { Fault } from '../api/fault.ts'
import { useAsk } from '../api/use-ask.ts'
import { formatCount, shorten, visible } from '../format.ts'
import { TableDocument, type TableQuery } from '../generated/documents.ts'
import { params, setParams, withParams } from '../location.ts'
import { FaultView } from '../parts/fault-view.tsx'
import { Icon } from '../parts/icon.tsx'
import { TableBox } from '../parts/scrollable.tsx'
import { Waiting } from '../parts/waiting.tsx'
import { type Place, previewOf } from '../tree/source.ts'
import type { SnapshotHead } from './state.tsx'

const PAGE = 50
const COLUMNS_MOST = 20
const CELL_MOST = 80

type Row = NonNullable<
  NonNullable<NonNullable<NonNullable<TableQuery['snapshotById']>['at']>['children']>['nodes'][number]
>

/** An array of objects, or an object of them, as a table: a column a key. */
export function TableView({ snapshot }: { readonly snapshot: SnapshotHead }) {
  const pointer = params.value.get('at') ?? ''
  const asked = Number(params.value.get('row') ?? 0)
  const skip = Number.isSafeInteger(asked) && asked > 0 ? asked : 0
  const { data, fault, faults, isLoading, again } = useAsk(TableDocument, {
    id: snapshot.snapshotId,
    pointer,
    skip,
  })
  const page = data?.snapshotById?.at?.children
  const failure = fault ?? (page === undefined ? faults[0] : undefined)
  return (
    <div class="table-view">
      {failure && <FaultView fault={failure} onRetry={again} />}
      {!data && isLoading && <Waiting rows={12} what="Reading the rows" />}
      {page && page.nodes.length === 0 && (
        <FaultView fault={new Fault('EMPTY', 'There is nothing in it that could be a row')} />
      )}
      {page && page.nodes.length > 0 && <Rows rows={page.nodes} pointer={pointer} />}
      {page && (
        <nav class="pager" aria-label="Pages">
          {skip > 0 && (
            <button type="button" onClick={() => setParams({ row: skip > PAGE ? String(skip - PAGE) : null })}>
              <Icon name="arrow-left" /> Before
            </button>
          )}
          <span class="muted">
            {formatCount(skip + 1)} to {formatCount(skip + page.nodes.length)}
            {typeof page.totalCount === 'number' && ` of ${formatCount(page.totalCount)}`}
          </span>
          {page.pageInfo.hasNextPage && (
            <button type="button" onClick={() => setParams({ row: String(skip + page.nodes.length) })}>
              After <Icon name="arrow-right" />
            </button>
          )}
        </nav>
      )}
    </div>
  )
}

function Rows({ rows, pointer }: { readonly rows: readonly Row[]; readonly pointer: string }) {
  const columns = columnsOf(rows)
  return (
    <TableBox label={`Rows of ${pointer === '' ? 'the state' : pointer}`}>
      <table class="values">
        <thead>
          <tr>
            <th>{rows[0]?.index === null ? 'key' : '#'}</th>
            {columns.length === 0 && <th>value</th>}
            {columns.map((column) => (
              <th key={column}>
                <bdi>{visible(shorten(column, 40))}</bdi>
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {rows.map((row) => (
            <tr key={`${row.index} ${row.pointer}`}>
              <td class="name">
                <a href={withParams({ at: row.pointer, view: null, row: null })}>
                  <bdi>{row.key === null ? row.index : visible(shorten(row.key ?? '', 60))}</bdi>
                </a>
              </td>
              {columns.length === 0 && <Cell place={row} />}
              {columns.map((column) => (
                <Cell key={column} place={row.children?.nodes.findLast(({ key }) => key === column)} />
              ))}
            </tr>
          ))}
        </tbody>
      </table>
    </TableBox>
  )
}

function columnsOf(rows: readonly Row[]): readonly string[] {
  const keys = new Set(
    rows.flatMap(({ type, children }) =>
      type === 'OBJECT' ? (children?.nodes ?? []).map(({ key }) => key ?? '') : [],
    ),
  )
  return [...keys].slice(0, COLUMNS_MOST)
}

function Cell({ place }: { readonly place: Place | undefined }) {
  if (!place) return <td />
  return (
    <td class="value" data-type={place.type}>
      <bdi>{visible(shorten(previewOf(place), CELL_MOST))}</bdi>
    </td>
  )
}
