import { createStop } from '../abort.ts'
import { isAppError } from '../errors.ts'
import { isHeldUp } from './errors.ts'
import type { Execute, ExecuteOptions } from './executor.ts'
import type { Statement } from './statements.ts'

/** Of statements that differ in nothing but their values, and that one statement can answer for all of them. */
export interface Together {
  /** In which order they are joined; undefined where any will do. */
  readonly order: ((a: readonly unknown[], b: readonly unknown[]) => number) | undefined
  /** One for all, each told by its values. Its rows begin with the number of whose they are, from 1, and may come in any order of these. */
  join(all: readonly (readonly unknown[])[]): Statement
}

interface Asked {
  readonly statement: Statement
  readonly options: ExecuteOptions
  readonly resolve: (rows: unknown[][]) => void
  readonly reject: (reason: unknown) => void
}

/** None waits for many others, and what comes back is bounded as theirs is. */
const MOST = 16

/**
 * Makes one statement of those of one kind that requests ask for in the same turn of the loop, where each would cost a message to
 * PostgreSQL and one back. Each keeps its own end: who leaves is told at once, and the statement goes on for the others.
 */
export function joining(execute: Execute): Execute {
  // The last of each kind that others may still join.
  const waiting = new Map<Together, Asked[]>()

  function send(kind: Together, all: readonly Asked[]): void {
    if (waiting.get(kind) === all) waiting.delete(kind)
    const [only] = all
    if (only && all.length === 1) alone(execute, only)
    else sendTogether(kind, inOrder(kind, all))
  }

  function sendTogether(kind: Together, all: readonly Asked[]): void {
    const stop = createStop()
    let present = all.length
    const leaves = all.map(({ options: { signal }, reject }) => {
      const leave = () => {
        reject(signal?.reason)
        if (--present === 0) stop.abort(signal?.reason)
      }
      if (signal?.aborted) leave()
      else signal?.addEventListener('abort', leave)
      return leave
    })
    const onOver = () => {
      for (const [index, { options }] of all.entries()) {
        options.signal?.removeEventListener('abort', leaves[index] as () => void)
        options.onOver?.()
      }
    }
    execute(kind.join(all.map(({ statement }) => statement.values)), { signal: stop, onOver }).then(
      (rows) => divide(rows, all),
      (error: unknown) => {
        for (const { statement, options, resolve, reject } of all) {
          // Nobody fails for what another asked.
          if (stop.aborted || isOfAll(error)) reject(error)
          else alone(execute, { statement, options: { signal: options.signal }, resolve, reject })
        }
      },
    )
  }

  return (statement, options) => {
    const kind = statement.together
    if (kind === undefined) return execute(statement, options)
    return new Promise((resolve, reject) => {
      const asked = { statement, options, resolve, reject }
      const others = waiting.get(kind)
      if (others && others.length < MOST) {
        others.push(asked)
        return
      }
      const all = [asked]
      waiting.set(kind, all)
      setImmediate(send, kind, all)
    })
  }
}

function inOrder({ order }: Together, all: readonly Asked[]): readonly Asked[] {
  return order ? all.toSorted((a, b) => order(a.statement.values, b.statement.values)) : all
}

function alone(execute: Execute, { statement, options, resolve, reject }: Asked): void {
  execute(statement, options).then(resolve, reject)
}

function divide(rows: readonly unknown[][], all: readonly Asked[]): void {
  const parts: unknown[][][] = all.map(() => [])
  for (const row of rows) parts[Number(row.shift()) - 1]?.push(row)
  for (const [index, { resolve }] of all.entries()) resolve(parts[index] as unknown[][])
}

const OF_ALL: ReadonlySet<string> = new Set(['DATABASE_UNAVAILABLE', 'DATABASE_TIMEOUT', 'OVERLOADED'])

/** Whether the database was not there, or had no time, for whatever it was asked; of a lock it is only known that one of them waits. */
function isOfAll(error: unknown): boolean {
  return isAppError(error) && OF_ALL.has(error.code) && !isHeldUp(error.cause)
}
