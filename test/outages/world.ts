import { behindProxy } from '../support/behind.ts'
import { freshDatabase } from '../support/database.ts'
import type { FaultProxy } from '../support/fault-proxy.ts'
import { s3Env } from '../support/objects.ts'
import type { S3Service, Service } from '../support/services.ts'

export type Part = 'PostgreSQL' | 'Valkey' | 'S3'

/** Services of which each is reached through a proxy. */
export interface World extends AsyncDisposable {
  readonly databaseUrl: string
  /** Settings of a server on them. */
  readonly env: Readonly<Record<string, string>>
  readonly proxies: Readonly<Record<Part, FaultProxy>>
}

export const LARGE_BYTES = 150_000
const INLINE_MAX_BYTES = 10_000

export async function startWorld(services: { readonly valkey: Service; readonly s3: S3Service }): Promise<World> {
  await using cleanup = new AsyncDisposableStack()
  const database = cleanup.use(await freshDatabase())
  const postgres = cleanup.use(await behindProxy(database.url))
  const valkey = cleanup.use(await behindProxy(services.valkey.url))
  const s3 = cleanup.use(await behindProxy(services.s3.endpoint))
  const owned = cleanup.move()
  return {
    databaseUrl: postgres.url,
    env: {
      ...s3Env({ ...services.s3, endpoint: s3.url }),
      DATABASE_URL: postgres.url,
      VALKEY_URL: valkey.url,
      SNAPSHOT_INLINE_MAX_BYTES: String(INLINE_MAX_BYTES),
    },
    proxies: { PostgreSQL: postgres.proxy, Valkey: valkey.proxy, S3: s3.proxy },
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  }
}

/** What callers may be told while a part is away, and what they may not. */
export const ALLOWED: Readonly<Record<Part, RegExp>> = {
  PostgreSQL: /^(DATABASE_UNAVAILABLE|DATABASE_TIMEOUT|OVERLOADED)$/,
  Valkey: /^$/,
  // An answer whose store falls silent in its middle cannot be taken back: it breaks off.
  S3: /^(STORAGE_UNAVAILABLE|STORAGE_TIMEOUT|OVERLOADED|cut)$/,
}
