import { counted, formatBytes, shorten, visible } from '../format.ts'
import { withParams } from '../location.ts'
import { copyText } from '../parts/copy.ts'
import { Icon } from '../parts/icon.tsx'
import { TextBlock } from '../parts/scrollable.tsx'
import type { TreeController } from '../tree/controller.ts'
import { isContainer, type Place, previewOf } from '../tree/source.ts'
import { copyValue, jqOf } from './copy-keys.ts'
import type { SnapshotHead } from './state.tsx'
import { StringView } from './string-view.tsx'

export interface PlacePanelProps {
  readonly snapshot: SnapshotHead
  readonly tree: TreeController
}

/** The place that is active, whole as far as it can be. */
export function PlacePanel({ snapshot, tree }: PlacePanelProps) {
  const place = tree.activePlace.value
  return (
    <aside class="panel" aria-label="Place">
      {place && (
        <>
          <header>
            <h2 class="mono">
              <bdi>{nameOf(place)}</bdi>
            </h2>
            <span class="muted">{whatOf(place)}</span>
          </header>
          <div class="panel-actions">
            <button type="button" onClick={() => copyText(place.pointer, 'the pointer')} title="Copy the pointer (y p)">
              <Icon name="copy" /> Pointer
            </button>
            <button
              type="button"
              onClick={() => copyText(jqOf(tree, place), 'the path for jq')}
              title="Copy the path for jq (y j)"
            >
              <Icon name="copy" /> jq
            </button>
            <button type="button" onClick={() => copyValue(snapshot.snapshotId, place)} title="Copy the value (y v)">
              <Icon name="copy" /> Value
            </button>
            <a class="button" href={withParams({ vs: 'previous', find: null, below: null })}>
              <Icon name="git-compare" /> Diff
            </a>
          </div>
          {place.type === 'STRING' && <StringView key={place.pointer} snapshotId={snapshot.snapshotId} place={place} />}
          {place.type !== 'STRING' && (
            <TextBlock>
              {linesOf(previewOf(place))}
              {isCut(place) ? '…' : ''}
            </TextBlock>
          )}
        </>
      )}
    </aside>
  )
}

function nameOf({ key, index }: Place): string {
  if (key !== null) return key === '' ? '""' : visible(shorten(key, 300))
  return index === null ? 'The whole state' : `[${index}]`
}

function whatOf(place: Place): string {
  const count = place.childCount === null ? '' : counted(place.childCount, place.type === 'OBJECT' ? 'key' : 'item')
  return [place.type.toLowerCase(), count, formatBytes(place.sizeBytes)].filter(Boolean).join(' · ')
}

const isCut = (place: Place) =>
  isContainer(place) && new TextEncoder().encode(previewOf(place)).length < place.sizeBytes

export const linesOf = (text: string) => text.split('\n').map(visible).join('\n')
