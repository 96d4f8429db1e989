import type { Kysely } from 'kysely'
import { findConditions } from '../../db/adoption/conditions.ts'
import type { Database } from '../../db/connect.ts'
import { pendingMigrations, planMigration } from '../../db/migrate.ts'
import { LOOKING } from '../../db/pool.ts'
import { loadMissingRights, loadServerFacts, type ServerFacts } from '../../db/queries/survey.ts'
import { isAppError } from '../../errors.ts'
import { explainDatabase, HIDDEN_ROWS } from '../database-trouble.ts'
import { type Finding, fine, warning, wordOf, wrong } from './finding.ts'

const OLDEST_VERSION = 140_000
/** A server of ours opens twelve. */
const FEW_CONNECTIONS = 12

export interface DatabaseLook {
  readonly findings: readonly Finding[]
  /** Whether the tables are all there, so that rows can be read. */
  readonly isReadable: boolean
}

/** Reads the server's settings and its catalog. Never rejects. */
export async function lookAtDatabase(db: Database, url: string): Promise<DatabaseLook> {
  try {
    const facts = await loadServerFacts(db)
    const server = [...judgeServer(facts), ...judgePooler(db, facts)]
    const missing = await loadMissingRights(db)
    if (missing.length > 0) {
      return { findings: [...server, ...judgeRights(missing, facts)], isReadable: false }
    }
    const pending = await pendingMigrations(url, LOOKING).catch(conflictIn)
    if (typeof pending === 'string') return { findings: [...server, wrong(pending)], isReadable: false }
    if (pending.length > 0) {
      return { findings: [...server, ...(await judgePending(pending, url))], isReadable: false }
    }
    return {
      findings: [...server, fine('every migration is applied'), ...(await judgeConditions(db))],
      isReadable: true,
    }
  } catch (error) {
    return {
      findings: [wrong(explainDatabase(error) ?? `DATABASE_URL: the database cannot be used (${wordOf(error)})`)],
      isReadable: false,
    }
  }
}

/** What stands against it, in words. @throws what is no conflict. */
function conflictIn(error: unknown): string {
  if (isAppError(error, 'CONFLICT')) return error.message
  throw error
}

function judgeServer({
  version,
  versionNumber,
  encoding,
  isReadOnly,
  hidesRows,
  freeConnections,
}: ServerFacts): Finding[] {
  const findings: Finding[] = []
  if (versionNumber < OLDEST_VERSION)
    findings.push(wrong(`PostgreSQL ${version} is too old: 14 is the oldest that works`))
  if (encoding !== 'UTF8') {
    findings.push(wrong(`the database is encoded in ${encoding}: create one with ENCODING 'UTF8', and move to it`))
  }
  if (isReadOnly) {
    findings.push(wrong('the database takes no writes, as a standby does: let DATABASE_URL name the primary'))
  }
  if (hidesRows) findings.push(warning(HIDDEN_ROWS))
  if (freeConnections < FEW_CONNECTIONS) {
    const left = `${Math.max(0, freeConnections)} connections are free, and each server takes up to 12`
    findings.push(warning(`${left}: close some, or raise max_connections`))
  }
  return findings.some(({ mark }) => mark === 'wrong')
    ? findings
    : [fine(`PostgreSQL ${version} answers, and is encoded in UTF8`), ...findings]
}

function judgeRights(missing: readonly string[], { mayCreate, mayAlter }: ServerFacts): Finding[] {
  const findings = [wrong(`the user lacks rights: grant ${missing.join('; ')}`)]
  if (!mayAlter) findings.push(warning('"migrate" needs the user that owns state_snapshots, with CREATE on its schema'))
  else if (!mayCreate) findings.push(warning('"migrate" needs CREATE on the schema of state_snapshots'))
  return findings
}

function judgePooler(db: Database, { dateStyle }: ServerFacts): Finding[] {
  if (!db.isPooled()) return []
  if (!dateStyle.startsWith('ISO')) {
    return [
      wrong("a pooler on the way does not hand on DateStyle: alter the role in PostgreSQL, set datestyle = 'ISO'"),
    ]
  }
  return [fine('a pooler is on the way: limits of time go with each transaction, and no statement is prepared')]
}

/** Of the table's owner: a capture or a delete that does not meet them is CONFLICT. */
async function judgeConditions(db: Database): Promise<Finding[]> {
  const conditions = await findConditions(db.kysely as Kysely<unknown>)
  return conditions.map((text) => warning(text.replace(/\.$/, '')))
}

async function judgePending(pending: readonly string[], url: string): Promise<Finding[]> {
  const what = `migrations are not applied (${pending.join(', ')})`
  const { problems } = await planMigration(url, LOOKING)
  if (problems.length === 0) return [wrong(`${what}: run "statelens migrate" with the same DATABASE_URL`)]
  return [wrong(`${what}, and cannot be: ${problems.join(' ')}`)]
}
