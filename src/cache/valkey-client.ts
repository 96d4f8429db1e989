import { Cluster, Redis, type RedisOptions } from 'iovalkey'
import { AppError } from '../errors.ts'

export type ValkeyClient = Redis | Cluster

const WITH_TLS = new Set(['rediss:', 'valkeys:'])
const PROTOCOLS = new Set(['redis:', 'valkey:', ...WITH_TLS])

/**
 * The client's defaults make a request wait for the server: they queue while it is away and resend when it is back. A cache
 * must fail at once instead. `socketTimeout` is what notices a connection that was cut without a word, since a timed out
 * command leaves it in place.
 */
const SETTINGS = {
  connectTimeout: 1000,
  // A cache that is slower than this is of no use.
  commandTimeout: 150,
  socketTimeout: 2000,
  disconnectTimeout: 200,
  keepAlive: 10_000,
  maxRetriesPerRequest: 1,
  autoResendUnfulfilledCommands: false,
  // A replica that was the primary: reconnect, and send the command again.
  reconnectOnError: (error) => (error.message.startsWith('READONLY') ? 2 : false),
} as const satisfies RedisOptions

/**
 * A client that connects, and connects again, by itself.
 * @throws AppError `BAD_REQUEST` when the URL is not one of a Valkey or Redis server.
 */
export function createValkeyClient(options: { readonly url: string; readonly cluster: boolean }): ValkeyClient {
  const common = connectionOptions(options.url)
  const lazy = { enableOfflineQueue: false, lazyConnect: true }
  if (!options.cluster) return new Redis(options.url, { ...SETTINGS, ...lazy, retryStrategy: retryDelayMs })
  return new Cluster([options.url], {
    ...lazy,
    clusterRetryStrategy: retryDelayMs,
    maxRedirections: 3,
    // The other nodes are found by address alone: they take the credentials of the one that was named.
    redisOptions: { ...SETTINGS, ...common },
  })
}

/** Doubles up to a second, less a random part, so that many servers do not come back at once. */
function retryDelayMs(attempt: number): number {
  return Math.min(100 * 2 ** attempt, 1000) * (0.5 + Math.random() / 2)
}

/** What all nodes of a cluster share. The cause of a refusal is left out: it would quote the URL with its password. */
function connectionOptions(text: string): RedisOptions {
  const url = URL.parse(text)
  if (url?.hostname && PROTOCOLS.has(url.protocol)) {
    try {
      return {
        ...(url.username && { username: decodeURIComponent(url.username) }),
        ...(url.password && { password: decodeURIComponent(url.password) }),
        ...(WITH_TLS.has(url.protocol) && { tls: {} }),
      }
    } catch {
      // A percent sign in the name or the password that is not encoded.
    }
  }
  throw new AppError('BAD_REQUEST', 'The address of the cache is not a redis:// or valkey:// URL')
}
