import { useEffect, useState } from 'preact/hooks'
import { useAsk } from '../api/use-ask.ts'
import { ChildrenDocument } from '../generated/documents.ts'
import { params, setParams } from '../location.ts'
import { Icon } from '../parts/icon.tsx'
import { notify } from '../parts/notices.tsx'
import { parentOf, readPointer } from '../pointer.ts'
import type { TreeController } from '../tree/controller.ts'
import type { SnapshotHead } from './state.tsx'

const REST_MILLIS = 200

const focusOn = (id: string) => {
  const field = document.getElementById(id)
  if (field instanceof HTMLInputElement) {
    field.focus()
    field.select()
  }
}

export const focusPointer = () => focusOn('pointer')
export const focusFind = () => focusOn('find')

export interface PointerBarProps {
  readonly snapshot: SnapshotHead
  readonly tree: TreeController
}

/** Where one is in the state, and how one gets elsewhere: by a pointer, or by what is there. */
export function PointerBar({ snapshot, tree }: PointerBarProps) {
  const at = params.value.get('at') ?? ''
  const here = tree.isRevealing.value ? at : (tree.activePlace.value?.pointer ?? at)
  const [typed, setTyped] = useState<string>()
  const options = useCompletion(snapshot.snapshotId, typed)
  useEffect(() => setTyped(undefined), [here])

  const goTo = () => {
    const pointer = readPointer(typed ?? here)
    if (pointer === undefined) return notify('A pointer begins with /, and has no ~ but in ~0 and ~1', { isBad: true })
    setParams({ at: pointer === '' ? null : pointer })
    document.querySelector<HTMLElement>('.tree')?.focus()
  }
  return (
    <div class="pointer-bar">
      <form
        onSubmit={(event) => {
          event.preventDefault()
          goTo()
        }}
      >
        <label class="pointer-field">
          <span class="visually-hidden">Pointer</span>
          <input
            id="pointer"
            class="mono"
            list="pointers"
            spellcheck={false}
            autocomplete="off"
            placeholder="/ pointer (@)"
            value={typed ?? here}
            onInput={(event) => setTyped(event.currentTarget.value)}
            onBlur={() => setTyped(undefined)}
          />
        </label>
        <datalist id="pointers">
          {options.map((pointer) => (
            <option key={pointer} value={pointer} />
          ))}
        </datalist>
      </form>
      <FindForm pointer={here} />
    </div>
  )
}

function FindForm({ pointer }: { readonly pointer: string }) {
  return (
    <search>
      <form
        class="find-form"
        onSubmit={(event) => {
          event.preventDefault()
          const text = String(new FormData(event.currentTarget).get('find') ?? '')
          setParams({
            find: text === '' ? null : text,
            below: text === '' || pointer === '' ? null : pointer,
            view: null,
          })
        }}
      >
        <Icon name="search" />
        <label class="find-field">
          <span class="visually-hidden">Find below the pointer</span>
          <input
            id="find"
            name="find"
            type="search"
            spellcheck={false}
            autocomplete="off"
            placeholder="Find below (/)"
            value={params.value.get('find') ?? ''}
          />
        </label>
      </form>
    </search>
  )
}

/** Pointers that go on as what is typed does: from the first hundred children of its container. */
function useCompletion(id: string, typed: string | undefined): readonly string[] {
  const [settled, setSettled] = useState<string>()
  useEffect(() => {
    const timer = setTimeout(() => setSettled(typed), REST_MILLIS)
    return () => clearTimeout(timer)
  }, [typed])
  const pointer = settled === undefined ? undefined : readPointer(settled)
  const parent = pointer === undefined ? undefined : (parentOf(pointer) ?? '')
  const { data } = useAsk(ChildrenDocument, parent === undefined ? null : { id, pointer: parent, skip: 0 })
  const nodes = data?.snapshotById?.at?.children?.nodes ?? []
  return nodes.map((node) => node.pointer).filter((one) => one.startsWith(pointer ?? ''))
}
