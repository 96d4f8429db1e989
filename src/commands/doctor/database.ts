import type { Database } from '../../db/connect.ts'
import { pendingMigrations, planMigration } from '../../db/migrate.ts'
import {
  type DatabaseTrouble,
  loadMissingRights,
  loadServerFacts,
  lookingUrl,
  type ServerFacts,
  troubleOf,
} from '../../db/queries/survey.ts'
import { isAppError } from '../../errors.ts'
import { type Finding, fine, warning, wordOf, wrong } from './finding.ts'

const OLDEST_VERSION = 140_000
/** A server of ours opens eleven. */
const FEW_CONNECTIONS = 12

const TROUBLES: Readonly<Record<Exclude<DatabaseTrouble, 'OTHER'>, string>> = {
  REFUSED: 'nothing listens at its host and port: start PostgreSQL there, or correct them',
  UNKNOWN_HOST: 'its host is not known here: correct the name, or the DNS of this machine',
  NO_ANSWER: 'no answer came in time: look for a firewall, a wrong host, or a server under too much load',
  LOCKED: 'its tables are locked, as they are while it is migrated: try again in a moment',
  NOT_LET_IN: 'the server refuses the user or the password: correct them, or let them in by pg_hba.conf',
  NO_DATABASE: 'there is no database of that name: create it (encoded in UTF8), or correct the name',
  NO_RIGHT: 'the user lacks rights there: grant CONNECT on the database, and USAGE on its schema',
  TOO_MANY_CONNECTIONS: 'all its connections are taken: close some, or raise max_connections',
  STARTING: 'the server is starting up or shutting down: try again in a moment',
  TLS: 'the server and this machine do not agree on TLS: look at sslmode and the certificate',
  NOT_POSTGRES: 'what answers there breaks off, and may be no PostgreSQL: correct host and port',
}

export interface DatabaseLook {
  readonly findings: readonly Finding[]
  /** Whether the tables are all there, so that rows can be read. */
  readonly isReadable: boolean
}

/** Reads the server's settings and its catalog. Never rejects. */
export async function lookAtDatabase(db: Database, url: string): Promise<DatabaseLook> {
  try {
    const facts = await loadServerFacts(db)
    const server = judgeServer(facts)
    const missing = await loadMissingRights(db)
    if (missing.length > 0) {
      return { findings: [...server, wrong(`the user lacks rights: grant ${missing.join('; ')}`)], isReadable: false }
    }
    const pending = await pendingMigrations(lookingUrl(url)).catch(conflictIn)
    if (typeof pending === 'string') return { findings: [...server, wrong(pending)], isReadable: false }
    if (pending.length > 0) {
      return { findings: [...server, ...(await judgePending(pending, facts, url))], isReadable: false }
    }
    return { findings: [...server, fine('every migration is applied')], isReadable: true }
  } catch (error) {
    return { findings: [wrong(`DATABASE_URL: ${describeTrouble(error)}`)], isReadable: false }
  }
}

/** What stands against it, in words. @throws what is no conflict. */
function conflictIn(error: unknown): string {
  if (isAppError(error, 'CONFLICT')) return error.message
  throw error
}

function describeTrouble(error: unknown): string {
  const trouble = troubleOf(error)
  return trouble === 'OTHER' ? `the database cannot be used (${wordOf(error)})` : TROUBLES[trouble]
}

function judgeServer({ version, versionNumber, encoding, isReadOnly, freeConnections }: ServerFacts): Finding[] {
  const findings: Finding[] = []
  if (versionNumber < OLDEST_VERSION)
    findings.push(wrong(`PostgreSQL ${version} is too old: 14 is the oldest that works`))
  if (encoding !== 'UTF8') {
    findings.push(wrong(`the database is encoded in ${encoding}: create one with ENCODING 'UTF8', and move to it`))
  }
  if (isReadOnly) {
    findings.push(wrong('the database takes no writes, as a standby does: let DATABASE_URL name the primary'))
  }
  if (freeConnections < FEW_CONNECTIONS) {
    const left = `${Math.max(0, freeConnections)} connections are free, and each server takes up to 11`
    findings.push(warning(`${left}: close some, or raise max_connections`))
  }
  return findings.some(({ mark }) => mark === 'wrong')
    ? findings
    : [fine(`PostgreSQL ${version} answers, and is encoded in UTF8`), ...findings]
}

async function judgePending(
  pending: readonly string[],
  { mayCreate, mayAlter }: ServerFacts,
  url: string,
): Promise<Finding[]> {
  const findings = [
    wrong(`migrations are not applied (${pending.join(', ')}): run "statelens migrate" with the same DATABASE_URL`),
  ]
  const { table } = await planMigration(lookingUrl(url))
  if (table && table.problems.length > 0) {
    findings.push(wrong(`the table state_snapshots cannot be adopted: ${table.problems.join(' ')}`))
  }
  if (!mayCreate) {
    findings.push(
      wrong('the user may not make tables for that: grant CREATE on the schema, or migrate as another user'),
    )
  }
  if (!mayAlter) findings.push(wrong('the user does not own state_snapshots: migrate as its owner'))
  return findings
}
