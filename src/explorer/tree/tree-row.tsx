import { counted, formatBytes, shorten, visible } from '../format.ts'
import { Icon } from '../parts/icon.tsx'
import type { RowView } from './controller.ts'
import { isContainer, type Place, previewOf } from './source.ts'

/** What a comparison says of a place, or of something below it. */
export type Mark = 'ADDED' | 'REMOVED' | 'CHANGED' | 'MOVED' | 'WITHIN'

const MARKS: Readonly<Record<Mark, readonly [sign: string, word: string]>> = {
  ADDED: ['+', 'added'],
  REMOVED: ['−', 'removed'],
  CHANGED: ['●', 'changed'],
  MOVED: ['→', 'moved'],
  WITHIN: ['○', 'something changed within'],
}

const KEY_MOST = 120
const PREVIEW_MOST = 240
/** Deeper rows are not indented further: a number tells how deep they are. */
const INDENT_MOST = 24
const INDENT_PIXELS = 14

export interface TreeRowProps {
  /** Without one the row is a copy for the eye alone. */
  readonly id?: string
  readonly view: RowView
  readonly isActive: boolean
  /** Whether the row before it says why both could not be read. */
  readonly isRepeated?: boolean
  readonly marks?: ReadonlyMap<string, Mark> | undefined
}

export function TreeRow({ id, view, isActive, isRepeated = false, marks }: TreeRowProps) {
  const { row, place, fault, depth, level, ordinal, siblings, isOpen } = view
  const mark = place && marks?.get(place.pointer)
  const canOpen = place !== undefined && isContainer(place) && place.childCount !== 0
  const aria =
    id === undefined
      ? {}
      : {
          id,
          role: 'treeitem' as const,
          'aria-level': level,
          'aria-posinset': ordinal + 1,
          'aria-setsize': siblings ?? -1,
          'aria-selected': isActive,
          'aria-expanded': canOpen ? isOpen : undefined,
        }
  return (
    <div
      {...aria}
      data-row={row}
      class={isActive ? 'row active' : 'row'}
      style={{ paddingInlineStart: `${Math.min(depth, INDENT_MOST) * INDENT_PIXELS + 20}px` }}
    >
      {/* Read by ear; the rest by eye. */}
      {id !== undefined && (
        <span class="visually-hidden">
          {place ? nameOf(place, mark) : fault ? `could not be read: ${fault.message}` : 'on its way'}
        </span>
      )}
      <div class="row-content" aria-hidden="true">
        <span class="mark" data-mark={mark}>
          {mark && MARKS[mark][0]}
        </span>
        <span class={canOpen ? (isOpen ? 'twist open' : 'twist') : 'twist none'}>
          {canOpen && <Icon name="chevron-right" />}
        </span>
        {depth > INDENT_MOST && <span class="depth">{depth}</span>}
        {place && <Content place={place} />}
        {!place && !fault && <span class="row-wait" />}
        {fault && !isRepeated && (
          <span class="row-fault">
            {fault.message} <span class="retry link">Try again</span>
          </span>
        )}
      </div>
    </div>
  )
}

function Content({ place }: { readonly place: Place }) {
  const { key, index, type, childCount, sizeBytes } = place
  const size = isContainer(place) || sizeBytes > 100 ? formatBytes(sizeBytes) : ''
  return (
    <>
      {key !== null && <bdi class="key">{key === '' ? '""' : visible(shorten(key, KEY_MOST))}</bdi>}
      {index !== null && <span class="key index">{index}</span>}
      {isContainer(place) && <span class="count">{countText(type, childCount)}</span>}
      <bdi class="value" data-type={type}>
        {visible(shorten(previewOf(place), PREVIEW_MOST))}
      </bdi>
      <span class="size">{size}</span>
    </>
  )
}

function countText(type: Place['type'], count: number | null): string {
  if (count === null) return type === 'OBJECT' ? '{…}' : '[…]'
  return type === 'OBJECT' ? `{${count.toLocaleString('en-US')}}` : `[${count.toLocaleString('en-US')}]`
}

const WORDS = { OBJECT: 'object', ARRAY: 'array', STRING: 'string', NUMBER: 'number', BOOLEAN: 'boolean', NULL: 'null' }

/** Key, type, value, size, as a reader of the screen says them. */
function nameOf(place: Place, mark: Mark | undefined): string {
  const { key, index, type, childCount, sizeBytes } = place
  const name = key === null ? (index === null ? 'the whole state' : `item ${index}`) : shorten(key, KEY_MOST)
  const value = isContainer(place)
    ? childCount === null
      ? ''
      : counted(childCount, type === 'OBJECT' ? 'key' : 'item')
    : shorten(previewOf(place), 80)
  return [visible(name), WORDS[type], visible(value), formatBytes(sizeBytes), mark && MARKS[mark][1]]
    .filter(Boolean)
    .join(', ')
}
