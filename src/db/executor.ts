import type pg from 'pg'
import type { StopSignal } from '../abort.ts'
import { isConnectionLost, isMisplaced, toDatabaseError } from './errors.ts'
import type { ObserveStatement } from './observe-statements.ts'
import { type Pool, type Stop, startLimit } from './pool.ts'
import { createStatementNames } from './statement-names.ts'
import { type Answer, StatementQuery } from './statement-query.ts'
import { onlyReads, type Statement } from './statements.ts'
import { type Parameter, parameterOf } from './wire.ts'

export interface ExecuteOptions {
  /** Ends the statement in PostgreSQL too, and its connection serves others after it. */
  readonly signal?: StopSignal | undefined
  /** Told when the statement is over and its connection free, however it ended. */
  readonly onOver?: (() => void) | undefined
}

/**
 * Rows as arrays of their values.
 * @throws the signal's reason as soon as it fires; other failures as `toDatabaseError` tells them.
 */
export type Execute = (statement: Statement, options: ExecuteOptions) => Promise<unknown[][]>

/**
 * Executes statements on the connections of a pool, each one prepared where it comes again. A read whose connection breaks is executed
 * once more, on a new one: nobody can tell the difference.
 */
export function createExecutor(pool: Pool, observe?: ObserveStatement): Execute {
  const { pooler } = pool
  const names = createStatementNames()
  const generations = new WeakMap<pg.PoolClient, number>()

  function release(client: pg.PoolClient, error: unknown): void {
    const { generation } = names
    if (!generations.has(client)) generations.set(client, generation)
    if (generations.get(client) === generation) pool.release(client, error)
    else client.release(true)
  }

  /** Small statements are many, and promises are dear beside them: so all of this is told by functions. */
  function run(asked: Asked): void {
    const ready = pool.take()
    if (ready) runOn(ready, asked)
    else pool.connect().then((client) => runOn(client, asked), asked.settle)
  }

  function runOn(client: pg.PoolClient, asked: Asked): void {
    const { text, parameters, stop, settle } = asked
    if (stop.isOver) {
      release(client, undefined)
      settle(undefined)
      return
    }
    const name = pooler.isThere ? undefined : names.nameOf(text)
    const endLimit = startLimit(client, { pooler, stop })
    const query = new StatementQuery({ text, parameters, name }, (error, rows) => {
      const free = () => {
        release(client, error)
        if (name !== undefined && isMisplaced(error)) {
          pooler.isThere = true
          return run(asked)
        }
        if (asked.isAgain || stop.isOver || !isConnectionLost(error) || !onlyReads(text)) return settle(error, rows)
        pool.renew()
        run({ ...asked, isAgain: true })
      }
      const cancelling = endLimit()
      if (cancelling) cancelling.then(free)
      else free()
    })
    client.query(query)
  }

  return ({ text, values }, { signal, onOver }) =>
    new Promise((resolve, reject) => {
      const parameters = values.map(parameterOf)
      const ended = observe?.(text)
      const stop: Stop = { isOver: false }
      // One listener for all that it takes.
      const leave = () => {
        stop.isOver = true
        stop.cancel?.()
        reject(signal?.reason)
      }
      const settle: Answer = (error, rows = []) => {
        signal?.removeEventListener('abort', leave)
        onOver?.()
        ended?.(error)
        if (error === undefined) resolve(rows)
        else reject(toDatabaseError(error))
      }
      if (signal?.aborted) leave()
      else signal?.addEventListener('abort', leave)
      if (stop.isOver) settle(undefined)
      else run({ text, parameters, stop, settle })
    })
}

interface Asked {
  readonly text: string
  readonly parameters: readonly Parameter[]
  readonly stop: Stop
  readonly settle: Answer
  /** Whether it was executed before, on a connection that broke. */
  readonly isAgain?: boolean
}
