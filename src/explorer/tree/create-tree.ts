import { computed, signal } from '@preact/signals'
import { type Fault, faultOf, isAbort } from '../api/fault.ts'
import { isBelow, tokensOf } from '../pointer.ts'
import type { TreeController } from './controller.ts'
import { type Branch, branchAt, createOutline, type Outline, type Spot } from './outline.ts'
import { createPages, type Pages } from './pages.ts'
import { type ChildPage, isContainer, PAGE_ROWS, type Place, type TreeSource } from './source.ts'
import { findWay } from './way.ts'

/** Containers that one key opens. */
const OPENED_AT_ONCE = 100

export function createTree(source: TreeSource): TreeController {
  const revision = signal(0)
  const active = signal(0)
  const fault = signal<Fault | undefined>(undefined)
  const isRevealing = signal(false)
  const rootPointer = signal('')
  const life = new AbortController()
  let outline: Outline | undefined
  const pages: Pages = createPages({ source, onPage })

  const changed = () => {
    revision.value++
  }

  function onPage(pointer: string, page: ChildPage | undefined, first: number): void {
    const branch = outline && branchAt(outline.root, pointer)
    if (outline && branch && page) {
      const known = first + page.places.length
      // Where nobody has counted, the rows grow with what is read.
      const count = page.total ?? Math.max(branch.count, page.hasMore ? known + 1 : known)
      const end = page.hasMore ? count : known
      if (end !== branch.count) outline.setCount(branch, end)
    }
    const failure = page ? undefined : pages.faultOf(pointer, first)
    if (failure?.code === 'DELETED') fault.value = failure
    changed()
  }

  function placeOf({ branch, ordinal }: Spot): Place | undefined {
    return branch === undefined ? outline?.root.place : pages.childOf(branch.place.pointer, ordinal)
  }

  function branchOf(spot: Spot): Branch | undefined {
    return spot.branch === undefined ? outline?.root : spot.branch.open.get(spot.ordinal)
  }

  const spotAt = (row: number): Spot => outline?.spotAt(row) ?? { branch: undefined, ordinal: 0 }

  function open(row: number): void {
    const spot = spotAt(row)
    const place = placeOf(spot)
    if (!outline || !place || !isContainer(place) || place.childCount === 0) return
    if (spot.branch === undefined || spot.branch.open.has(spot.ordinal)) return
    outline.open(spot.branch, spot.ordinal, place)
    changed()
  }

  function close(row: number): void {
    const branch = branchOf(spotAt(row))
    if (!outline || branch?.parent === undefined) return
    const at = placeOf(spotAt(active.value))?.pointer
    const shift = branch.rows
    outline.close(branch)
    if (at !== undefined && isBelow(at, branch.place.pointer)) active.value = row
    else if (active.value > row) active.value -= shift
    changed()
  }

  async function plant(pointer: string, signal: AbortSignal): Promise<Outline> {
    if (outline && rootPointer.value === pointer) return outline
    const place = await source.placeAt(pointer, signal)
    outline = createOutline(place)
    rootPointer.value = pointer
    active.value = 0
    changed()
    return outline
  }

  async function reach(pointer: string): Promise<number> {
    const beginsAt = rootPointer.value
    const way = { source, pages, plant, beginsAt, signal: life.signal }
    const { outline: planted, spot } = await findWay(pointer, way)
    return planted.rowOf(spot)
  }

  return {
    source,
    revision,
    active,
    fault,
    isRevealing,
    rootPointer,
    rowCount: computed(() => (revision.value >= 0 && outline ? outline.rowCount : 0)),
    activePlace: computed(() => (revision.value >= 0 ? placeOf(spotAt(active.value)) : undefined)),
    rowAt(row) {
      const spot = spotAt(row)
      const { branch, ordinal } = spot
      const isCounted = branch !== undefined && branch.place.childCount !== null
      return {
        row,
        place: placeOf(spot),
        fault: branch && pages.faultOf(branch.place.pointer, ordinal),
        depth: branch?.depth ?? 0,
        level: (branch?.depth ?? 0) + tokensOf(rootPointer.peek()).length + 1,
        ordinal,
        siblings: branch === undefined ? 1 : isCounted ? branch.count : null,
        isOpen: branchOf(spot) !== undefined,
      }
    },
    ancestorsOf(row) {
      const rows: number[] = []
      for (let at = spotAt(row).branch; at !== undefined; at = at.parent) {
        rows.unshift(outline?.rowOf({ branch: at.parent, ordinal: at.ordinal }) ?? 0)
      }
      return rows
    },
    want(from, to) {
      // What is in view on the way to a place is not looked at.
      if (isRevealing.peek()) return
      const wanted = Array.from({ length: Math.max(0, to - from) }, (_, offset) => spotAt(from + offset))
      const rows = [...wanted, spotAt(active.value)]
      pages.want(rows.flatMap(({ branch, ordinal }) => (branch ? [{ pointer: branch.place.pointer, ordinal }] : [])))
    },
    activate(row) {
      active.value = Math.min(Math.max(row, 0), Math.max(0, (outline?.rowCount ?? 1) - 1))
    },
    open,
    close,
    toggle: (row) => (branchOf(spotAt(row)) ? close(row) : open(row)),
    parentRow(row) {
      const { branch } = spotAt(row)
      return branch === undefined ? -1 : (outline?.rowOf({ branch: branch.parent, ordinal: branch.ordinal }) ?? -1)
    },
    openSiblings(row) {
      const { branch } = spotAt(row)
      return outline && branch ? openChildren(branch, OPENED_AT_ONCE) : 0
    },
    async foldTo(level) {
      if (!outline) return false
      for (const branch of [...outline.root.open.values()]) outline.close(branch)
      active.value = 0
      let left = OPENED_AT_ONCE
      let branches = [outline.root]
      for (let depth = 1; depth < level && left > 0; depth++) {
        for (const branch of branches) {
          await pages.load(branch.place.pointer, 0)
          left -= openChildren(branch, left)
        }
        branches = branches.flatMap((branch) => [...branch.open.values()])
      }
      changed()
      return left <= 0
    },
    openPointers(most) {
      const found: string[] = []
      const collect = (branch: Branch) => {
        for (const child of branch.open.values()) {
          if (found.length < most) found.push(child.place.pointer)
          collect(child)
        }
      }
      if (outline) collect(outline.root)
      return found
    },
    async settle() {
      if (!outline) return
      const branches = [outline.root, ...outline.root.open.values()]
      const { branch, ordinal } = spotAt(active.value)
      const wanted = branches.map((one) => pages.load(one.place.pointer, 0))
      await Promise.all(branch ? [...wanted, pages.load(branch.place.pointer, ordinal)] : wanted)
    },
    async reveal(pointer) {
      // How far it is stays there until more is known.
      if (!fault.peek()?.detail.progress) fault.value = undefined
      isRevealing.value = true
      try {
        const row = await reach(pointer)
        if (life.signal.aborted) return -1
        fault.value = undefined
        if (row !== -1) active.value = row
        return row
      } catch (error) {
        if (!isAbort(error) && !life.signal.aborted) fault.value = faultOf(error)
        return -1
      } finally {
        isRevealing.value = false
        changed()
      }
    },
    tell(told) {
      fault.value = told
    },
    retry() {
      pages.retry()
      changed()
    },
    dispose() {
      life.abort()
      pages.dispose()
    },
  }

  function openChildren(branch: Branch, most: number): number {
    let opened = 0
    for (let ordinal = 0; ordinal < Math.min(branch.count, PAGE_ROWS) && opened < most; ordinal++) {
      const place = pages.childOf(branch.place.pointer, ordinal)
      if (!place || !isContainer(place) || place.childCount === 0 || branch.open.has(ordinal)) continue
      outline?.open(branch, ordinal, place)
      opened++
    }
    changed()
    return opened
  }
}
