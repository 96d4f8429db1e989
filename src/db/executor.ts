import type pg from 'pg'
import { unlessAborted } from '../abort.ts'
import { isMisplaced } from './errors.ts'
import { limitTime, type Pool } from './pool.ts'
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

  async function connect(signal?: AbortSignal): Promise<pg.PoolClient> {
    signal?.throwIfAborted()
    const connecting = pool.connect()
    try {
      return await unlessAborted(connecting, signal)
    } catch (error) {
      connecting.then(
        (client) => release(client),
        () => {},
      )
      throw error
    }
  }

  async function attempt({ text, values }: Statement, name?: string, signal?: AbortSignal): Promise<unknown[][]> {
    const client = await connect(signal)
    const query = client.query<unknown[]>({ text, values: [...values], name, rowMode: 'array' })
    const running = limitTime(client, query, { pooler: pool.pooler, signal })
    running.then(
      () => release(client),
      (error) => release(client, error),
    )
    return (await unlessAborted(running, signal)).rows
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
