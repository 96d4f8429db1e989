import type { Item } from './source.ts'

/** The way from the root to a value, as steps that share their beginnings; null at the root. */
export type Path = PathStep | null

export interface PathStep {
  readonly parent: Path
  /** What stands there; left out for a place at which nothing does. */
  readonly item?: Item
  /** A place in an array, or the canonical text of a key. */
  readonly step: number | string
}

/** The JSON Pointer of a path, behind that of its root. @see RFC 6901 */
export function pointerOf(path: Path, root = ''): string {
  const parts: string[] = []
  for (let at = path; at; at = at.parent) parts.push(partOf(at.step))
  return root + parts.reverse().join('')
}

function partOf(step: number | string): string {
  return typeof step === 'number' ? `/${step}` : `/${keyOf(step).replaceAll('~', '~0').replaceAll('/', '~1')}`
}

/** The key that a canonical text stands for. */
export function keyOf(text: string): string {
  return JSON.parse(Buffer.from(text, 'latin1').toString())
}
