import { type Config, ConfigError, type ObjectStoreConfig, readConfig, unknownSettings } from '../../config.ts'
import { createDatabase } from '../../db/connect.ts'
import { LOOKING } from '../../db/pool.ts'
import { createLogger } from '../../log.ts'
import { lookAtLinks } from './addresses.ts'
import { lookAtCache } from './cache.ts'
import { lookAtDatabase } from './database.ts'
import { createReport, type Finding, fine, inTime, warning, wrong } from './finding.ts'
import { lookAtFolder, lookAtMark } from './folder.ts'
import { lookAtStore, type StoreLook } from './object-store.ts'
import { lookAtRows } from './rows.ts'
import { lookAtPayloads } from './samples.ts'
import { settingNames } from './setting-names.ts'

const AS_DOCTOR = { limits: LOOKING, applicationName: 'statelens doctor' }

type Env = Readonly<Record<string, string | undefined>>

export interface DoctorOptions {
  readonly env: Env
  readonly print: (line: string) => void
}

/**
 * The command `doctor`: looks at everything that the settings name, changes none of it, and says what is wrong and what to
 * do. It prints names of settings, hosts of links and ids of snapshots; no other value, and no payload.
 * @returns the exit code: 0 when nothing is wrong, else 1. It resolves within 20 seconds; what still hangs then is left open.
 */
export async function runDoctor({ env, print }: DoctorOptions): Promise<number> {
  const report = createReport(print)
  const config = await readSettings(env)
  if (config instanceof ConfigError) {
    report.section('settings', config.problems.map(wrong))
    return report.end() ? 0 : 1
  }
  const open = isOpenToTokensOfOthers(config)
  const misspelt = unknownSettings(env).map((name) => warning(`${name} is no setting: misspelt?`))
  report.section('settings', [fine('every setting is understood'), ...open, ...misspelt])
  // Loading the server's parts takes so long that a connection which is being opened meanwhile would be too late.
  if (config.databaseUrl !== undefined) await import('../../stores.ts')
  const storage = inTime(lookAtStorage(config, env), { subject: 'storage', seconds: 12 })
  const links = inTime(lookAtLinks(config, env), { subject: 'links', seconds: 6 })
  const cache = inTime(lookAtCache(config), { subject: 'the cache', seconds: 6 })
  const { database, payloads } = lookAtData(config, env)
  report.section('database', await database)
  report.section('storage', await storage)
  report.section('links', await links)
  report.section('cache', await cache)
  report.section('payloads', await payloads)
  return report.end() ? 0 : 1
}

function isOpenToTokensOfOthers({ authMode, jwt }: Config): Finding[] {
  if (authMode !== 'jwt' || jwt?.audience !== undefined) return []
  return [warning('JWT_AUDIENCE is not set: tokens that the issuer made for other services are good here as well')]
}

/** The settings, and the files of tokens, policies and documents that they name. */
async function readSettings(env: Env): Promise<Config | ConfigError> {
  try {
    const config = readConfig(env)
    const { openAccess } = await import('../../access.ts')
    openAccess({ config, log: createLogger({ level: 'silent' }) })
    return config
  } catch (error) {
    if (error instanceof ConfigError) return error
    throw error
  }
}

interface DataLooks {
  readonly database: Promise<readonly Finding[]>
  /** Empty where there are no tables to read. */
  readonly payloads: Promise<readonly Finding[]>
}

function lookAtData(config: Config, env: Env): DataLooks {
  const { databaseUrl } = config
  if (databaseUrl === undefined) {
    const text = 'DATABASE_URL is not set: an embedded one starts with "statelens serve", and is not looked at'
    return { database: Promise.resolve([fine(text)]), payloads: Promise.resolve([]) }
  }
  const db = createDatabase({ url: databaseUrl, maxConnections: 3, ...AS_DOCTOR })
  const looking = lookAtDatabase(db, databaseUrl)
  const rows = looking.then(async ({ findings, isReadable }) =>
    isReadable ? [...findings, ...(await inTime(lookAtRows(db), { subject: 'the rows', seconds: 6 }))] : findings,
  )
  const payloads = looking.then(({ isReadable }) => (isReadable ? readSamples(config, databaseUrl, env) : []))
  rows.then(() => db.close()).catch(() => {})
  return {
    database: inTime(rows, { subject: 'the database', seconds: 14 }),
    payloads: inTime(payloads, { subject: 'payloads', seconds: 18 }),
  }
}

async function readSamples(config: Config, databaseUrl: string, env: Env): Promise<readonly Finding[]> {
  const { openStorage } = await import('../../stores.ts')
  const db = createDatabase({ url: databaseUrl, maxConnections: 3, isReadOnly: true, ...AS_DOCTOR })
  const storage = openStorage(config, db)
  try {
    const mark = lookAtMark(db, { ...folderSetting(config, env), root: config.storagePath })
    return [...(await mark), ...(await lookAtPayloads(db, storage))]
  } finally {
    storage.close()
    // Nobody waits for connections that hang.
    db.close().catch(() => {})
  }
}

async function lookAtStorage(config: Config, env: Env): Promise<readonly Finding[]> {
  const { isDefault, isSet, setting } = folderSetting(config, env)
  const stores = storesOf(config, env).map((store) => lookAtStore(store))
  const folder = lookAtFolder({ root: config.storagePath, setting, isSet, isDefault })
  return (await Promise.all(isDefault ? [folder, ...stores] : [...stores, folder])).flat()
}

/** What the root of `file://` is, and by which setting. */
function folderSetting({ storageBackend }: Config, env: Env) {
  const isSet = Boolean(env['SNAPSHOT_STORAGE_PATH']?.trim())
  return { isDefault: storageBackend === 'filesystem', isSet, setting: isSet ? 'SNAPSHOT_STORAGE_PATH' : 'DATA_DIR' }
}

/** One look for both schemes where they mean the same store. */
function storesOf({ storageBackend, s3, minio }: Config, env: Env): StoreLook[] {
  const look = (scheme: 's3' | 'minio', store: ObjectStoreConfig | undefined): StoreLook[] => {
    const names = settingNames(env, scheme === 's3' ? ['S3'] : ['MINIO', 'S3'])
    const role = storageBackend === scheme ? 'new objects go here' : 'for older objects'
    return store ? [{ scheme, store, names, role }] : []
  }
  const isSame = JSON.stringify(s3) === JSON.stringify(minio)
  return [
    ...(isSame && storageBackend === 'minio' ? [] : look('s3', s3)),
    ...(isSame && storageBackend !== 'minio' ? [] : look('minio', minio)),
  ]
}
