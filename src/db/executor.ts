import type pg from 'pg'
import { unlessAborted } from '../abort.ts'
import { cancelStatement } from './cancel.ts'
import { endsConnection, isMisplaced } from './errors.ts'
import { createStatementNames } from './statement-names.ts'

interface Statement {
  readonly text: string
  readonly values: readonly unknown[]
}

/** Rows as arrays of their values. With the signal the statement ends in PostgreSQL too, and its connection serves others after it. */
export type Execute = (statement: Statement, signal?: AbortSignal) => Promise<unknown[][]>

/** Executes statements on the connections of a pool, each one prepared where it comes again. */
export function createExecutor(pool: pg.Pool): Execute {
  const names = createStatementNames()
  const generations = new WeakMap<pg.PoolClient, number>()

  function release(client: pg.PoolClient, error?: unknown): void {
    const { generation } = names
    if (!generations.has(client)) generations.set(client, generation)
    client.release(generations.get(client) !== generation || (error !== undefined && endsConnection(error)))
  }

  async function connect(signal?: AbortSignal): Promise<pg.PoolClient> {
    signal?.throwIfAborted()
    const connecting = pool.connect()
    try {
      return await unlessAborted(connecting, signal)
    } catch (error) {
      connecting.then(release, () => {})
      throw error
    }
  }

  async function attempt({ text, values }: Statement, name?: string, signal?: AbortSignal): Promise<unknown[][]> {
    const client = await connect(signal)
    let cancelling: Promise<void> | undefined
    const cancel = () => {
      cancelling = cancelStatement(client)
    }
    signal?.addEventListener('abort', cancel, { once: true })
    const running = client.query<unknown[]>({ text, values: [...values], name, rowMode: 'array' })
    const end = async (error?: unknown) => {
      signal?.removeEventListener('abort', cancel)
      // What comes next on this connection must not be ended in its place.
      await cancelling
      release(client, error)
    }
    running.then(() => end(), end)
    return (await unlessAborted(running, signal)).rows
  }

  return async (statement, signal) => {
    try {
      return await attempt(statement, names.nameOf(statement.text), signal)
    } catch (error) {
      if (!isMisplaced(error)) throw error
      names.stop()
      return await attempt(statement, undefined, signal)
    }
  }
}
