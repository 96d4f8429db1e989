import { availableParallelism } from 'node:os'
import { readDatabaseUrl } from './database-url.ts'
import type { SettingReader } from './setting-reader.ts'

/** How many processes there are, and what they read and write. */
export interface ScaleConfig {
  /** Undefined: an embedded PostgreSQL in `dataDir`. */
  readonly databaseUrl?: string
  /** A hot standby of it, for lists and states; undefined: they are read where they are written. */
  readonly databaseReadUrl?: string
  /** So far behind a standby may be before nothing is read there. */
  readonly databaseReadLagMaxSeconds: number
  /** Connections for requests, of all workers together; to the standby there are as many. */
  readonly databaseConnectionsMax: number
  /** Processes that share the port; 1: this one is all there is. */
  readonly workers: number
}

/** A statement and a transaction beside it: with fewer one would wait for the other. */
const CONNECTIONS_PER_WORKER = 2
const WORKERS_MAX = 128

export function readScale(read: SettingReader, problems: string[]): ScaleConfig {
  const workers = readWorkers(read, problems)
  const scale = {
    databaseUrl: readDatabase(read, problems, 'DATABASE_URL'),
    databaseReadUrl: readDatabase(read, problems, 'DATABASE_READ_URL'),
    databaseReadLagMaxSeconds: read.integer('DATABASE_READ_LAG_MAX_SECONDS', { fallback: 30, min: 1, max: 86_400 }),
    databaseConnectionsMax: read.integer('DATABASE_CONNECTIONS_MAX', {
      fallback: Math.max(10, 4 * workers),
      min: CONNECTIONS_PER_WORKER * workers,
      max: 10_000,
    }),
    workers,
  }
  if (scale.databaseReadUrl !== undefined && scale.databaseUrl === undefined) {
    problems.push('DATABASE_READ_URL is set, and DATABASE_URL is not: the embedded database has no standby')
  }
  return scale
}

function readDatabase(read: SettingReader, problems: string[], name: string): string | undefined {
  const text = read.text(name)
  if (text === undefined) return undefined
  const found = readDatabaseUrl(text)
  if ('url' in found) return found.url
  problems.push(`${name} ${found.problem}`)
  return undefined
}

function readWorkers(read: SettingReader, problems: string[]): number {
  const text = read.text('WORKERS') ?? '1'
  if (text === 'auto') return Math.min(availableParallelism(), WORKERS_MAX)
  const number = /^\d{1,3}$/.test(text) ? Number(text) : 0
  if (number >= 1 && number <= WORKERS_MAX) return number
  problems.push(`WORKERS must be a whole number from 1 to ${WORKERS_MAX}, or auto`)
  return 1
}
