import { ConfigError } from '../config.ts'
import { isAppError } from '../errors.ts'
import { explainDatabase } from './database-trouble.ts'
import { StartError } from './start-error.ts'

/** Words for the terminal. A failure that nobody foresaw shows its message: there is no client here to hide it from. */
export function describeFailure(error: unknown): string {
  if (error instanceof ConfigError || error instanceof StartError) return error.message
  if (error instanceof Error && 'code' in error && error.code === 'EADDRINUSE') {
    const port = 'port' in error ? ` ${error.port}` : ''
    return `PORT is taken by another process: set it to another one than${port}, or to 0 for any that is free.`
  }
  const why = isAppError(error) && error.code.startsWith('DATABASE_') ? explainDatabase(error) : null
  return why ?? (error instanceof Error ? error.message : String(error))
}
