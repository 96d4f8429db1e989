import { createDatabase, type Database } from '../../src/db/connect.ts'
import { freshDatabase } from './database.ts'

/** A database of the caller's own, and what was asked of it. */
export interface ToldDatabase extends AsyncDisposable {
  readonly db: Database
  readonly url: string
  /** Texts, in the order in which they were sent. */
  readonly statements: string[]
}

export async function toldDatabase(): Promise<ToldDatabase> {
  const { url, drop } = await freshDatabase()
  const statements: string[] = []
  const db = createDatabase({ url, onStatement: (text) => statements.push(text) })
  return {
    db,
    url,
    statements,
    async [Symbol.asyncDispose]() {
      await db.close()
      await drop()
    },
  }
}
