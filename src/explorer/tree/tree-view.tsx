import { useSignal } from '@preact/signals'
import { useEffect, useId, useMemo, useRef } from 'preact/hooks'
import { useHeight } from '../parts/use-height.ts'
import type { TreeController } from './controller.ts'
import { createScrollMap, ROW_PIXELS } from './scroll-map.ts'
import { treeKeys } from './tree-keys.ts'
import { type Mark, TreeRow } from './tree-row.tsx'

export interface TreeViewProps {
  readonly tree: TreeController
  readonly label: string
  /** By pointer, what has happened there. */
  readonly marks?: ReadonlyMap<string, Mark>
  /** Told of Enter and of a click. */
  readonly onChoose?: (row: number) => void
}

/** Most containers that stay in view above what lies in them. */
const STICKY_MOST = 6
const WANT_MILLIS = 60

/** The rows in view, of however many. One tab stop: the active row is told by its id, and is always in the document. */
export function TreeView({ tree, label, marks, onChoose }: TreeViewProps) {
  const id = useId()
  const scroller = useRef<HTMLDivElement>(null)
  const height = useHeight(scroller)
  const top = useSignal(0)
  /** The position that was set from here, and so is no wish of anybody. */
  const expected = useRef(-1)
  const rows = tree.rowCount.value
  const active = tree.active.value
  const revision = tree.revision.value
  const map = useMemo(() => createScrollMap(rows, height), [rows, height])
  const first = Math.floor(Math.min(top.value, map.lastTop))
  const last = Math.min(rows, first + Math.ceil(height / ROW_PIXELS) + 1)

  const scrollTo = (row: number) => {
    if (!scroller.current) return
    top.value = Math.min(Math.max(row, 0), map.lastTop)
    scroller.current.scrollTop = map.scrollTopOf(top.value)
    expected.current = scroller.current.scrollTop
  }

  useEffect(() => {
    if (scroller.current) scrollTo(top.value)
  }, [map])

  // The active row comes into view when it becomes so, below what sticks above it.
  useEffect(() => {
    const sticky = Math.min(tree.ancestorsOf(active).length, STICKY_MOST)
    const fits = Math.floor(height / ROW_PIXELS)
    const isFar = active < top.value - fits || active >= top.value + 2 * fits
    if (isFar) scrollTo(active - Math.floor(fits / 2))
    else if (active < top.value + sticky) scrollTo(active - sticky)
    else if (active >= top.value + fits) scrollTo(active - fits + 1)
  }, [active, height, tree])

  useWanted(tree, first, last, revision)

  const move = (row: number) => tree.activate(row)
  const page = Math.max(1, Math.floor(height / ROW_PIXELS) - 1)

  const acts = treeKeys({ tree, page, onChoose })
  const onKeyDown = (event: KeyboardEvent) => {
    const act = acts[event.key]
    if (!act || event.ctrlKey || event.metaKey || event.altKey) return
    event.preventDefault()
    act()
  }

  const onClick = (event: MouseEvent) => {
    const target = event.target instanceof Element ? event.target : null
    const row = Number(target?.closest('[data-row]')?.getAttribute('data-row') ?? Number.NaN)
    if (Number.isNaN(row)) return
    const isAgain = row === active
    move(row)
    if (target?.closest('.retry')) tree.retry()
    else if (target?.closest('.twist') || isAgain || event.detail === 2) tree.toggle(row)
    onChoose?.(row)
  }

  const onScroll = () => {
    const at = scroller.current?.scrollTop ?? 0
    if (Math.abs(at - expected.current) < 1) return
    expected.current = -1
    top.value = map.rowAt(at)
  }

  const onWheel = (event: WheelEvent) => {
    if (!map.isCoarse || event.ctrlKey) return
    event.preventDefault()
    scrollTo(top.value + (event.deltaMode === 1 ? event.deltaY : event.deltaY / ROW_PIXELS))
  }

  const shown = Array.from({ length: Math.max(0, last - first) }, (_, offset) => tree.rowAt(first + offset))
  const isActiveAway = rows > 0 && (active < first || active >= last)
  const sticky =
    rows > 0
      ? tree
          .ancestorsOf(first)
          .filter((row) => row < top.value)
          .slice(-STICKY_MOST)
      : []
  return (
    <div
      ref={scroller}
      class="tree"
      role="tree"
      tabIndex={0}
      aria-label={label}
      aria-activedescendant={rows > 0 ? `${id}-${active}` : undefined}
      onKeyDown={onKeyDown}
      onClick={onClick}
      onScroll={onScroll}
      onWheel={onWheel}
    >
      <div class="tree-spacer" role="presentation" style={{ height: `${map.spacer}px` }}>
        <div class="tree-window" role="presentation" style={{ height: `${height}px` }}>
          <div
            role="presentation"
            style={{ transform: `translateY(${-(Math.min(top.value, map.lastTop) - first) * ROW_PIXELS}px)` }}
          >
            {shown.map((view, index) => (
              <TreeRow
                key={view.row}
                id={`${id}-${view.row}`}
                view={view}
                isActive={view.row === active}
                isRepeated={view.fault !== undefined && view.fault === shown[index - 1]?.fault}
                marks={marks}
              />
            ))}
          </div>
          {isActiveAway && (
            <div class="visually-hidden" role="presentation">
              <TreeRow id={`${id}-${active}`} view={tree.rowAt(active)} isActive marks={marks} />
            </div>
          )}
          {sticky.length > 0 && (
            <div class="sticky-rows" role="presentation" aria-hidden="true">
              {sticky.map((row) => (
                <TreeRow key={row} view={tree.rowAt(row)} isActive={false} marks={marks} />
              ))}
            </div>
          )}
        </div>
      </div>
    </div>
  )
}

/** Asks for what is in view; while one scrolls fast, only now and then. */
function useWanted(tree: TreeController, first: number, last: number, revision: number): void {
  const lastAsked = useRef(0)
  const window = useRef({ first, last })
  window.current = { first, last }
  useEffect(() => {
    const rest = lastAsked.current + WANT_MILLIS - performance.now()
    // Never at once: what has just become active may move the window first.
    const timer = setTimeout(
      () => {
        // The window of what has happened since is still to come, and asks for itself.
        if (tree.revision.peek() !== revision) return
        lastAsked.current = performance.now()
        tree.want(window.current.first, window.current.last)
      },
      Math.max(rest, 0),
    )
    return () => clearTimeout(timer)
  }, [tree, first, last, revision])
}
