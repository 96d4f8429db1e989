import { useEffect, useMemo, useRef } from 'preact/hooks'
import { cameBack } from '../api/line.ts'
import { useAsk } from '../api/use-ask.ts'
import { MarksDocument } from '../generated/documents.ts'
import { params, place, setParams } from '../location.ts'
import { FaultView } from '../parts/fault-view.tsx'
import { useKeys } from '../parts/keys.ts'
import { Waiting } from '../parts/waiting.tsx'
import { parentOf } from '../pointer.ts'
import type { TreeController } from '../tree/controller.ts'
import { treeLetters } from '../tree/tree-keys.ts'
import type { Mark } from '../tree/tree-row.tsx'
import { TreeView } from '../tree/tree-view.tsx'
import { copyKeys } from './copy-keys.ts'
import { FindPanel } from './find-panel.tsx'
import { PlacePanel } from './place-panel.tsx'
import { focusFind, focusPointer, PointerBar } from './pointer-bar.tsx'
import type { SnapshotHead } from './state.tsx'
import { TableView } from './table-view.tsx'
import { TextView } from './text-view.tsx'
import { reveal, usePrepared } from './use-prepared.ts'

const SETTLE_MILLIS = 150

/** The state itself, in the view that the address asks for. */
export function StateBody({ snapshot: asked }: { readonly snapshot: SnapshotHead }) {
  const { snapshot, tree } = usePrepared(asked, params.value.get('at') ?? '')
  const { snapshotId } = snapshot
  const view = params.value.get('view') ?? 'tree'
  const isTree = view !== 'text' && view !== 'table'
  useAddress(tree, isTree)
  // Rows that could not be read meanwhile.
  const since = cameBack.value
  useEffect(() => tree.retry(), [tree, since])
  useKeys({ ...treeLetters(tree), ...copyKeys(snapshotId, tree), '@': focusPointer, '/': focusFind })
  return (
    <>
      <PointerBar snapshot={snapshot} tree={tree} />
      {view === 'text' && <TextView snapshot={snapshot} />}
      {view === 'table' && <TableView snapshot={snapshot} />}
      {isTree && <TreeAndPlace snapshot={snapshot} tree={tree} />}
    </>
  )
}

interface TreeProps {
  readonly snapshot: SnapshotHead
  readonly tree: TreeController
}

function TreeAndPlace({ snapshot, tree }: TreeProps) {
  const fault = tree.fault.value
  const marks = useMarks(snapshot.snapshotId)
  const isThere = tree.rowCount.value > 0
  const isSearching = params.value.has('find')
  return (
    <div class="split">
      <div class="tree-box">
        {fault && <TreeFault snapshot={snapshot} tree={tree} />}
        {tree.rootPointer.value !== '' && isThere && (
          <p class="bar">
            The tree begins at <span class="mono">{tree.rootPointer.value}</span>: what lies around it is left out.{' '}
            <button type="button" class="link" onClick={() => setParams({ at: null })}>
              Begin at the root
            </button>
          </p>
        )}
        {isThere && <TreeView tree={tree} label="State" marks={marks} />}
        {!isThere && !fault && <Waiting rows={16} what="Reading the state" />}
      </div>
      {isThere && (isSearching ? <FindPanel snapshot={snapshot} /> : <PlacePanel snapshot={snapshot} tree={tree} />)}
    </div>
  )
}

function TreeFault({ tree }: TreeProps) {
  const fault = tree.fault.value
  if (!fault) return null
  const { nearest } = fault.detail
  const at = params.value.get('at') ?? ''
  return (
    <FaultView fault={fault} onRetry={() => openAt(tree, at)}>
      {fault.code === 'POINTER_NOT_FOUND' && (
        <button type="button" onClick={() => setParams({ at: nearest || null })}>
          Open {nearest === undefined || nearest === '' ? 'the root' : nearest}
        </button>
      )}
      {fault.code === 'INVALID_PAYLOAD' && (
        <button type="button" onClick={() => setParams({ view: 'text' })}>
          Read its text
        </button>
      )}
    </FaultView>
  )
}

/** The address and the tree follow each other: the tree at once, the address when the keys rest. */
function useAddress(tree: TreeController, isShown: boolean): void {
  const at = params.value.get('at') ?? ''
  /** The pointer that the tree stands for in the address: one that is not there stands for its nearest place. */
  const told = useRef<string | undefined>(undefined)
  useEffect(() => {
    if (!isShown || (told.current === at && tree.rowCount.peek() > 0)) return
    told.current = undefined
    openAt(tree, at).then(() => {
      told.current = at
    })
  }, [tree, at, isShown])
  const here = tree.activePlace.value?.pointer
  useEffect(() => {
    if (here === undefined || told.current === undefined || tree.fault.peek()) return
    const timer = setTimeout(() => {
      if (told.current === undefined || here === told.current) return
      told.current = here
      setParams({ at: here === '' ? null : here }, { isReplacing: true })
    }, SETTLE_MILLIS)
    return () => clearTimeout(timer)
  }, [tree, here])
}

async function openAt(tree: TreeController, pointer: string): Promise<void> {
  const row = await reveal(tree, pointer)
  if (row !== -1) tree.open(row)
}

/** By pointer, what has changed since the state that one came from. */
function useMarks(id: string): ReadonlyMap<string, Mark> | undefined {
  const here = place.value
  const from = params.value.get('was')
  // While the one before is shown still, the address has gone on.
  const isHere = here.screen === 'state' && here.snapshotId === id
  const { data } = useAsk(MarksDocument, from === null || !isHere ? null : { id, from })
  const changes = data?.snapshotById?.diff?.changes?.nodes
  return useMemo(() => {
    if (!changes) return undefined
    const marks = new Map<string, Mark>()
    for (const { op, pointer } of changes) {
      marks.set(pointer, op)
      for (let above = parentOf(pointer); above !== undefined; above = parentOf(above)) {
        if (!marks.has(above)) marks.set(above, 'WITHIN')
      }
    }
    return marks
  }, [changes])
}
