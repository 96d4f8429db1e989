import { LRUCache } from 'lru-cache'

/** Whether this server answers to the name in a Host header. */
export type Hosts = (authority: string | undefined) => boolean

export interface HostsOptions {
  /** What the server was told to listen on. */
  readonly host: string
  /** What clients were told to call it; undefined where that follows from where it listens. */
  readonly publicUrl?: string | undefined
}

const LOOPBACK = /^(?:localhost|.+\.localhost|127(?:\.\d{1,3}){3}|\[::1\])$/
const ANY_ADDRESS = /^(?:0\.0\.0\.0|\[::\])$/
/** A server is called by few names, again and again. */
const KNOWN_MAX = 64
/** As machines and containers call each other. */
const SINGLE_LABEL = /^[a-z][a-z0-9_-]*$/

/**
 * The names that a server has while nobody is asked who they are: those of loopback, that of its public URL, and where it was told to
 * listen. A page of any site can have its own name resolve to this machine, and then reads the answers as its own: by the
 * name alone such a request is known. No site has a name without a dot, so those are served too.
 */
export function createHosts({ host, publicUrl }: HostsOptions): Hosts {
  const names = new Set(
    [hostInUrl(host), ...(publicUrl === undefined ? [] : [new URL(publicUrl).hostname])].map(normalize),
  )
  const isOurs = (authority: string) => {
    const name = normalize(authority.replace(/:\d*$/, ''))
    if (LOOPBACK.test(name) || SINGLE_LABEL.test(name)) return true
    return names.has(name) && !isAnyAddress(name)
  }
  const known = new LRUCache<string, boolean>({ max: KNOWN_MAX })
  return (authority) => {
    // No browser leaves it out.
    if (!authority) return true
    let found = known.get(authority)
    if (found === undefined) {
      found = isOurs(authority)
      known.set(authority, found)
    }
    return found
  }
}

/** Where a server listens that does so everywhere; nobody calls it by that. */
export function isAnyAddress(host: string): boolean {
  return ANY_ADDRESS.test(hostInUrl(host))
}

/** An address of IPv6 stands in brackets there. */
export function hostInUrl(host: string): string {
  return host.includes(':') ? `[${host.replaceAll(/[[\]]/g, '')}]` : host
}

function normalize(name: string): string {
  return name.toLowerCase().replace(/\.$/, '')
}
