import { faultOf } from '../api/fault.ts'
import { formatBytes } from '../format.ts'
import { copyText } from '../parts/copy.ts'
import type { KeyMap } from '../parts/keys.ts'
import { notify } from '../parts/notices.tsx'
import { jqPath, tokensOf } from '../pointer.ts'
import type { TreeController } from '../tree/controller.ts'
import { readRaw } from '../tree/remote-source.ts'
import type { Place } from '../tree/source.ts'

/** More does a clipboard no good. */
const COPY_MAX_BYTES = 1_048_576

/** What `y` and a letter put into the clipboard. */
export function copyKeys(id: string, tree: TreeController): KeyMap {
  const withPlace = (act: (place: Place) => unknown) => () => {
    const place = tree.activePlace.peek()
    if (place) act(place)
  }
  return {
    'y p': withPlace(({ pointer }) => copyText(pointer, 'the pointer')),
    'y j': withPlace((place) => copyText(jqOf(tree, place), 'the path for jq')),
    'y k': withPlace(({ key, index }) => copyText(key ?? String(index ?? ''), 'the key')),
    'y v': withPlace((place) => copyValue(id, place)),
  }
}

/** Which tokens are indices is told by the rows above. */
export function jqOf(tree: TreeController, { pointer }: Place): string {
  const rows = [...tree.ancestorsOf(tree.active.peek()), tree.active.peek()]
  const depths = new Set(rows.flatMap((row, depth) => (tree.rowAt(row).place?.index === null ? [] : [depth - 1])))
  const tokens = tokensOf(pointer)
  const hidden = tokens.length - rows.length + 1
  return jqPath(tokens, (depth) => (depth < hidden ? /^\d+$/.test(tokens[depth] ?? '') : depths.has(depth - hidden)))
}

/** The whole value, never a part of it. */
export async function copyValue(id: string, { pointer, sizeBytes }: Place): Promise<void> {
  if (sizeBytes > COPY_MAX_BYTES) {
    return notify(`The value has ${formatBytes(sizeBytes)}, and at most ${formatBytes(COPY_MAX_BYTES)} is copied`, {
      isBad: true,
    })
  }
  try {
    const question = { id, pointer, maxBytes: COPY_MAX_BYTES }
    await copyText(await readRaw(question, new AbortController().signal), `the value, ${formatBytes(sizeBytes)}`)
  } catch (error) {
    notify(faultOf(error).message, { isBad: true })
  }
}
