import { readFileSync, statSync } from 'node:fs'

/** What a file says, and what is wrong with it, for whoever wrote it. */
export interface Reading<T> {
  readonly value: T
  readonly problems: readonly string[]
}

export interface ChangingFileOptions<T> {
  readonly path: string
  /** What is good of it counts, whatever else is wrong. Undefined: it cannot be read, and says nothing. */
  readonly read: (text: string | undefined) => Reading<T>
  /** Told once of each version that has problems. */
  readonly onProblems: (problems: readonly string[]) => void
  /** Milliseconds that only go forward; those of the process when left out. */
  readonly now?: () => number
}

const LOOK_MILLIS = 1000

/**
 * A small file that is read anew within a second after it changed, when somebody asks. By its times and size, and not by being told:
 * that fails on some file systems, and after a file was replaced.
 */
export function openChangingFile<T>(options: ChangingFileOptions<T>): () => T {
  const { path, read, onProblems, now = () => performance.now() } = options
  let version = versionOf(path)
  let current = read(textOf(path))
  let lookedAt = now()
  if (current.problems.length > 0) onProblems(current.problems)

  return () => {
    const at = now()
    if (at - lookedAt < LOOK_MILLIS) return current.value
    lookedAt = at
    const found = versionOf(path)
    if (found === version) return current.value
    version = found
    current = read(textOf(path))
    if (current.problems.length > 0) onProblems(current.problems)
    return current.value
  }
}

function versionOf(path: string): string {
  const stat = statSync(path, { bigint: true, throwIfNoEntry: false })
  return stat ? `${stat.ino} ${stat.mtimeNs} ${stat.ctimeNs} ${stat.size}` : ''
}

function textOf(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return undefined
  }
}
