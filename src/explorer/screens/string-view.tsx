import { useEffect, useMemo, useState } from 'preact/hooks'
import { Fault, faultOf } from '../api/fault.ts'
import { useRead } from '../api/use-read.ts'
import { FaultView } from '../parts/fault-view.tsx'
import { Icon } from '../parts/icon.tsx'
import { TextBlock } from '../parts/scrollable.tsx'
import { Waiting } from '../parts/waiting.tsx'
import { createTree } from '../tree/create-tree.ts'
import { createLocalSource } from '../tree/local-source.ts'
import { readRaw } from '../tree/remote-source.ts'
import { type Place, previewOf } from '../tree/source.ts'
import { TreeView } from '../tree/tree-view.tsx'
import { linesOf } from './place-panel.tsx'
import { TextWindow } from './text-window.tsx'

/** A longer string is read by ranges, as its source text. */
const WHOLE_MAX_BYTES = 65_536
/** What is opened as JSON is held by the page. */
const JSON_MAX_BYTES = 1_048_576

export interface StringViewProps {
  readonly snapshotId: string
  readonly place: Place
}

/** The text of a string; where it is JSON itself, also as a tree. */
export function StringView({ snapshotId, place }: StringViewProps) {
  const [isTree, setIsTree] = useState(false)
  const looksLikeJson = /^"\s*(?:\\[nrt]|\s)*[[{]/.test(previewOf(place)) && place.sizeBytes <= JSON_MAX_BYTES
  const isWhole = place.sizeBytes <= WHOLE_MAX_BYTES
  const { text, fault, again } = useText(snapshotId, place, isWhole || isTree)
  const url = textUrl(text)
  return (
    <>
      {looksLikeJson && (
        <p class="panel-actions">
          <button type="button" aria-pressed={isTree} onClick={() => setIsTree(!isTree)}>
            <Icon name="file-braces" /> {isTree ? 'As text' : 'As JSON'}
          </button>
        </p>
      )}
      {fault && <FaultView fault={fault} onRetry={again} />}
      {url && (
        <p>
          <a href={url} target="_blank" rel="noopener noreferrer">
            Open this address
          </a>
        </p>
      )}
      {isTree && text !== undefined && <JsonTree text={text} />}
      {!isTree && isWhole && text !== undefined && <TextBlock>{linesOf(text)}</TextBlock>}
      {!isTree && !isWhole && (
        <TextWindow path={`snapshots/${snapshotId}/value?pointer=${encodeURIComponent(place.pointer)}`} />
      )}
      {(isTree || isWhole) && text === undefined && !fault && <Waiting rows={4} what="Reading the string" />}
    </>
  )
}

function useText(id: string, place: Place, isWanted: boolean) {
  const { pointer, sizeBytes } = place
  const preview = previewOf(place)
  // A short string is whole in its preview.
  const short = useMemo(
    () =>
      preview.length > 1 && preview.endsWith('"') && new TextEncoder().encode(preview).length === sizeBytes
        ? unquote(preview)
        : undefined,
    [preview, sizeBytes],
  )
  const { data, fault, again } = useRead(short !== undefined || !isWanted ? null : `${id} ${pointer}`, async (signal) =>
    unquote(await readRaw({ id, pointer, maxBytes: JSON_MAX_BYTES }, signal)),
  )
  return { text: short ?? data, fault, again }
}

function unquote(source: string): string | undefined {
  try {
    const value: unknown = JSON.parse(source)
    return typeof value === 'string' ? value : source
  } catch {
    return undefined
  }
}

/** Only what is an address of the web, and nothing else. */
function textUrl(text: string | undefined): string | undefined {
  return text !== undefined && text.length < 2048 && /^https?:\/\/[^\s]+$/.test(text) && URL.canParse(text)
    ? text
    : undefined
}

function JsonTree({ text }: { readonly text: string }) {
  const made = useMemo(() => {
    try {
      return { tree: createTree(createLocalSource(text)) }
    } catch (error) {
      return { fault: faultOf(error) }
    }
  }, [text])
  useEffect(() => {
    made.tree?.reveal('')
    return () => made.tree?.dispose()
  }, [made])
  if (made.fault) return <FaultView fault={new Fault('NOT_JSON', 'The text of this string is not JSON')} />
  return (
    <div class="inner-tree">
      {made.tree && made.tree.rowCount.value > 0 && <TreeView tree={made.tree} label="JSON in the string" />}
    </div>
  )
}
