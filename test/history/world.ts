import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import pg from 'pg'
import { freshDatabase } from '../support/database.ts'
import { isUnavailable } from '../support/describe-with.ts'
import { type FaultProxy, startFaultProxy } from '../support/fault-proxy.ts'
import { query } from '../support/rows.ts'
import { s3, valkey } from '../support/services.ts'
import { temporaryFolder } from '../support/tmp.ts'
import { CHANGE_LOG } from './change-log.ts'
import { createReplica, type Replica } from './replica.ts'
import { type HistoryStore, openFileStore, openS3Store } from './stores.ts'

export type StoreKind = 'file' | 's3'
/** What can be between a server and what it needs. */
export type Target = 'postgres' | 'valkey' | 's3'

/** A server and the proxies in front of all that it needs. */
export interface Member {
  readonly replica: Replica
  readonly proxies: Readonly<Partial<Record<Target, FaultProxy>>>
}

/** A database, a cache, a store, and servers that share them. */
export interface World extends AsyncDisposable {
  readonly kind: StoreKind
  /** Past every proxy. */
  readonly databaseUrl: string
  readonly store: HistoryStore
  readonly members: readonly Member[]
  /** What servers printed that ended by themselves: each is a broken promise. */
  readonly deaths: readonly string[]
  /** Starts those that do not run. */
  startAll(): Promise<void>
  /** Resolves once nothing that servers sent is under way in the database. */
  quiet(): Promise<void>
}

export interface WorldOptions {
  readonly kind: StoreKind
  readonly replicas?: number
  /** Settings of all servers, over those of a history. */
  readonly env?: Readonly<Record<string, string>>
  /** Loaded before each server. */
  readonly imports?: readonly string[]
  /** Whether there are proxies, through which all bytes go; default true. */
  readonly isProxied?: boolean
}

/** Small, so that most states are objects and a history is short. */
export const INLINE_MAX_BYTES = 4096
const QUIET_LOOK_MS = 20

/** Undefined where a service is not there that it needs. */
export async function openWorld(options: WorldOptions): Promise<World> {
  const { kind, replicas = 2, env = {}, imports = [], isProxied = true } = options
  await using cleanup = new AsyncDisposableStack()
  const { url: databaseUrl } = cleanup.use(await freshDatabase())
  await query(databaseUrl, CHANGE_LOG)
  const { quiet } = cleanup.use(await openLooks(databaseUrl))
  const folder = cleanup.use(await temporaryFolder())
  const store = cleanup.use(await openStore(kind))
  const cache = await valkey()
  const deaths: string[] = []
  const members: Member[] = []
  for (let number = 0; number < replicas; number++) {
    const proxies = isProxied ? await openProxies() : {}
    const replica = createReplica({
      crashFile: join(folder.path, `crash-${number}`),
      imports,
      onDeath: (output) => deaths.push(output),
      env: {
        DATABASE_URL: through(databaseUrl, proxies.postgres),
        ...(isUnavailable(cache) ? {} : { VALKEY_URL: through(cache.url, proxies.valkey) }),
        ...store.env(store.s3 ? through(store.s3.endpoint, proxies.s3) : ''),
        SNAPSHOT_INLINE_MAX_BYTES: String(INLINE_MAX_BYTES),
        // Nobody waits for a balancer.
        DRAIN_DELAY_SECONDS: '0',
        SIGNED_URL_SECRET: 'one secret for all of the servers',
        ...env,
      },
    })
    members.push({ replica: cleanup.use(replica), proxies })
  }

  async function openProxies(): Promise<Member['proxies']> {
    return {
      postgres: cleanup.use(await proxyOf(databaseUrl)),
      ...(isUnavailable(cache) ? {} : { valkey: cleanup.use(await proxyOf(cache.url)) }),
      ...(store.s3 ? { s3: cleanup.use(await proxyOf(store.s3.endpoint)) } : {}),
    }
  }

  const world = { kind, databaseUrl, store, members, deaths }
  const owned = cleanup.move()
  return {
    ...world,
    async startAll() {
      await Promise.all(members.map(({ replica }) => replica.start()))
    },
    quiet,
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  }
}

async function openStore(kind: StoreKind): Promise<HistoryStore> {
  if (kind === 'file') return await openFileStore()
  const service = await s3()
  if (isUnavailable(service)) throw new Error(service.unavailable)
  return await openS3Store(service)
}

async function proxyOf(url: string): Promise<FaultProxy> {
  const { hostname, port } = new URL(url)
  return await startFaultProxy({ host: hostname, port: Number(port) })
}

function through(url: string, proxy: FaultProxy | undefined): string {
  if (!proxy) return url
  const changed = new URL(url)
  changed.hostname = proxy.host
  changed.port = String(proxy.port)
  return changed.href
}

/** By a connection that stays: it is looked every few milliseconds. */
async function openLooks(databaseUrl: string): Promise<{ readonly quiet: () => Promise<void> } & AsyncDisposable> {
  const client = new pg.Client({ connectionString: databaseUrl })
  await client.connect()
  return {
    async quiet() {
      for (;;) {
        const { rowCount } = await client.query(
          `select from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()
           and application_name like 'statelens%' and (state = 'active' or state like 'idle in transaction%')
           and query not like '%statelens_changes%'`,
        )
        if (rowCount === 0) return
        await delay(QUIET_LOOK_MS)
      }
    },
    [Symbol.asyncDispose]: () => client.end(),
  }
}
