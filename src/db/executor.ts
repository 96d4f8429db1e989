import type pg from 'pg'
import { isMisplaced } from './errors.ts'
import { limitTime, type Pool, type Stop } from './pool.ts'
import { createStatementNames } from './statement-names.ts'

interface Statement {
  readonly text: string
  readonly values: readonly unknown[]
}

/** Rows as arrays of their values. With the signal the statement ends in PostgreSQL too, and its connection serves others after it. */
export type Execute = (statement: Statement, signal?: AbortSignal) => Promise<unknown[][]>

/** Executes statements on the connections of a pool, each one prepared where it comes again. */
export function createExecutor(pool: Pool): Execute {
  const names = createStatementNames()
  const generations = new WeakMap<pg.PoolClient, number>()

  function release(client: pg.PoolClient, error?: unknown): void {
    const { generation } = names
    if (!generations.has(client)) generations.set(client, generation)
    if (generations.get(client) === generation) pool.release(client, error)
    else client.release(true)
  }

  /** @param stop when it is aborted the statement is of no more use to anybody. */
  async function executeOnce({ text, values }: Statement, name: string | undefined, stop: Stop): Promise<unknown[][]> {
    const client = await pool.connect()
    if (stop.isOver) {
      release(client)
      return []
    }
    const query = client.query<unknown[]>({ text, values: [...values], name, rowMode: 'array' })
    const running = limitTime(client, query, { pooler: pool.pooler, stop })
    running.then(
      () => release(client),
      (error) => release(client, error),
    )
    return (await running).rows
  }

  function attempt(statement: Statement, name?: string, signal?: AbortSignal): Promise<unknown[][]> {
    const stop: Stop = { isOver: false }
    if (!signal) return executeOnce(statement, name, stop)
    // One listener for all that it takes: they cost more than a small statement does.
    return new Promise((resolve, reject) => {
      const leave = () => {
        stop.isOver = true
        stop.cancel?.()
        reject(signal.reason)
      }
      if (signal.aborted) return leave()
      signal.addEventListener('abort', leave, { once: true })
      executeOnce(statement, name, stop)
        .finally(() => signal.removeEventListener('abort', leave))
        .then(resolve, reject)
    })
  }

  return async (statement, signal) => {
    try {
      return await attempt(statement, pool.pooler.isThere ? undefined : names.nameOf(statement.text), signal)
    } catch (error) {
      if (!isMisplaced(error)) throw error
      pool.pooler.isThere = true
      return await attempt(statement, undefined, signal)
    }
  }
}
