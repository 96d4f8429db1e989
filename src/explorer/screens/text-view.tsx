import { params, withParams } from '../location.ts'
import type { SnapshotHead } from './state.tsx'
import { TextWindow } from './text-window.tsx'

/** The source text of the place in the address: of the whole state as its bytes are, JSON or not. */
export function TextView({ snapshot }: { readonly snapshot: SnapshotHead }) {
  const { snapshotId } = snapshot
  const at = params.value.get('at') ?? ''
  const whole = `snapshots/${snapshotId}/payload`
  const path = at === '' ? whole : `snapshots/${snapshotId}/value?pointer=${encodeURIComponent(at)}`
  return (
    <div class="text-view">
      {at !== '' && (
        <p class="bar">
          The text at <span class="mono">{at}</span>.{' '}
          <a href={withParams({ at: null, byte: null })}>Text of the whole state</a>
        </p>
      )}
      <TextWindow key={path} path={path} />
    </div>
  )
}
