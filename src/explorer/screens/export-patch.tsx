import { fetchPlain, token } from '../api/client.ts'
import { faultOf } from '../api/fault.ts'
import { SERVER } from '../location.ts'
import { Icon } from '../parts/icon.tsx'
import { notify } from '../parts/notices.tsx'
import { saveAs, saveResponse } from '../parts/save.ts'
import type { SnapshotHead } from './state.tsx'

export interface ExportPatchProps {
  readonly from: { readonly snapshotId: string }
  readonly snapshot: SnapshotHead
  readonly pointer: string
}

/** Saves the difference as a JSON Patch (RFC 6902): applied to the one state it gives the other. */
export function ExportPatch({ from, snapshot, pointer }: ExportPatchProps) {
  const query = new URLSearchParams({ from: from.snapshotId, ...(pointer === '' ? {} : { pointer }) })
  const path = `snapshots/${snapshot.snapshotId}/diff?${query}`
  return (
    <button type="button" onClick={() => save(path)}>
      <Icon name="download" /> JSON Patch
    </button>
  )
}

async function save(path: string): Promise<void> {
  try {
    if (token.value === null) return saveAs(new URL(path, SERVER).href, 'patch.json')
    await saveResponse(await fetchPlain(path, new AbortController().signal), 'patch.json')
  } catch (error) {
    notify(faultOf(error).message, { isBad: true })
  }
}
