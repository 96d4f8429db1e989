import { setTimeout as delay } from 'node:timers/promises'
import type { ByteCache } from '../../cache/byte-cache.ts'
import { createValkeyCache } from '../../cache/valkey.ts'
import { isAppError } from '../../errors.ts'
import { type Finding, fine, wrong } from './finding.ts'

const PATIENCE_MILLIS = 3000
const POLL_MILLIS = 50

/** Signs in what the cache reports, and what to do. */
const PROBLEMS: readonly (readonly [RegExp, string])[] = [
  [/ECONNREFUSED/, 'nothing listens at its host and port: start Valkey there, or correct them'],
  [/ENOTFOUND|EAI_AGAIN/, 'its host is not known here: correct the name, or the DNS of this machine'],
  [/TIMEDOUT|timed out|EHOST|ENET/, 'no answer came in time: look for a firewall, or a wrong host'],
  [/NOAUTH/, 'the server wants a password: write redis://:password@host:port'],
  [/WRONGPASS/, 'the server refuses the password: correct it'],
  [/NOPERM/, 'its user may not do what a cache does: allow GET, SET, UNLINK and PING'],
  [/LOADING/, 'the server is still loading its data: try again in a moment'],
  [/MOVED|CLUSTERDOWN|CROSSSLOT/, 'it is a cluster: set VALKEY_CLUSTER=true, and see that all its slots are served'],
  [/Cluster/, 'no node answers as a cluster does: leave VALKEY_CLUSTER out where it is none'],
  [/CERT|SSL|TLS|ISSUER|SIGNATURE/, 'TLS fails: look at rediss:// and at the certificate'],
]

export interface CacheSettings {
  /** Undefined: a cache in the process. */
  readonly valkeyUrl?: string
  readonly valkeyCluster: boolean
}

/** Connects as the server does, and reads once. Never rejects. */
export async function lookAtCache({
  valkeyUrl: url,
  valkeyCluster: cluster,
}: CacheSettings): Promise<readonly Finding[]> {
  if (url === undefined) return [fine('VALKEY_URL is not set: each process has its own')]
  let problem: string | undefined
  try {
    const cache = createValkeyCache({
      url,
      cluster,
      maxEntryBytes: 1,
      ttlSeconds: 1,
      onProblem: (text) => {
        problem ??= text
      },
    })
    const isUp = await comesUp(cache)
    if (isUp) await cache.get('doctor')
    await cache.close()
    if (isUp && problem === undefined) return [fine('Valkey answers')]
  } catch (error) {
    if (!isAppError(error, 'BAD_REQUEST')) throw error
    problem = 'the URL cannot be understood: percent-encode what is special in name and password'
  }
  const known = PROBLEMS.find(([pattern]) => pattern.test(problem ?? ''))?.[1]
  const text = known ?? problem ?? 'no answer came in time: look for a firewall, or a wrong host'
  return [wrong(`VALKEY_URL: ${text} (until then reads are slower)`)]
}

async function comesUp(cache: ByteCache): Promise<boolean> {
  for (const end = performance.now() + PATIENCE_MILLIS; performance.now() < end; ) {
    if (await cache.isUp()) return true
    await delay(POLL_MILLIS)
  }
  return false
}
