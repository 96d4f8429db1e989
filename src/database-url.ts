import { accessSync, constants } from 'node:fs'

/** A URL that `URL` and the driver read alike, or what is wrong, as the end of a sentence that begins with the setting's name. */
export type DatabaseUrl = { readonly url: string } | { readonly problem: string }

const FORM = 'postgres://user:password@host:5432/database'
const SSL_MODES = ['disable', 'allow', 'prefer', 'require', 'verify-ca', 'verify-full', 'no-verify']
/** The driver takes all of these for the last one, and warns on standard error that it does. */
const VERIFYING = ['prefer', 'require', 'verify-ca', 'verify-full']

/**
 * Reads `DATABASE_URL` as libpq documents it: without a host (`?host=/folder` names a socket, `?host=` and `?port=` an address), and
 * with a password as it is, wherever an `@` tells its end.
 */
export function readDatabaseUrl(text: string): DatabaseUrl {
  const [, scheme, rest = ''] = /^(postgres(?:ql)?:\/\/)(.*)$/is.exec(text) ?? []
  if (scheme === undefined) return { problem: 'must be a URL that begins with postgres:// or postgresql://' }
  const at = endOfLogin(rest)
  const login = at === -1 ? null : readLogin(rest.slice(0, at))
  const [, address = '', tail = ''] = /^([^/?#]*)(.*)$/s.exec(rest.slice(at + 1)) ?? []
  const url =
    address === '' || address.startsWith(':')
      ? withoutHost(scheme, address, tail)
      : URL.parse(`${scheme}${address}${tail}`)
  const hosts = `${address}${url?.searchParams.get('host') ?? ''}${url?.searchParams.get('port') ?? ''}`
  if (hosts.includes(',')) {
    return {
      problem: 'names several hosts, which is not supported: name one, such as an address that leads to the primary',
    }
  }
  if (!url) return { problem: `has no host and port that can be read: write ${FORM}` }
  const problem = settleTls(url.searchParams)
  if (problem !== null) return { problem }
  return { url: login === null ? url.href : withLogin(url, login) }
}

/** Where the `@` behind user and password is; -1 without one. */
function endOfLogin(rest: string): number {
  const authority = /^[^/?#]*/.exec(rest)?.[0] ?? ''
  const path = /^[^?]*/.exec(rest)?.[0] ?? ''
  // An `@` of the query is none of a login where what comes first may be an address.
  const isAddress = /^(?:\[[^\]]*\]|[^:]*)(?::\d*)?$/.test(authority)
  const last = (isAddress ? path : rest).lastIndexOf('@')
  return authority.includes('@') && !path.slice(authority.length).includes('@') ? authority.lastIndexOf('@') : last
}

interface Login {
  readonly user: string
  readonly password?: string
}

function readLogin(text: string): Login {
  const [, user = '', password] = /^([^:]*)(?::(.*))?$/s.exec(text) ?? []
  return { user: decode(user), password: password === undefined ? undefined : decode(password) }
}

/** What is no escape stands for itself. */
function decode(text: string): string {
  try {
    return decodeURIComponent(text.replaceAll(/%(?![\da-f]{2})/gi, '%25'))
  } catch {
    return text
  }
}

/** The driver looks for a host of its own, in PGHOST, where neither the address nor a parameter names one. */
function withoutHost(scheme: string, address: string, tail: string): URL | null {
  const url = URL.parse(`${scheme}${tail}`)
  if (url && address.length > 1 && !url.searchParams.has('port')) url.searchParams.set('port', address.slice(1))
  return url
}

/** Without a host a URL has no room for a login: then it goes to the parameters, which the driver knows as well. */
function withLogin(url: URL, { user, password }: Login): string {
  if (url.hostname !== '') {
    url.username = encodeURIComponent(user)
    url.password = encodeURIComponent(password ?? '')
    return url.href
  }
  for (const [name, value] of Object.entries({ user, password })) {
    if (value && !url.searchParams.has(name)) url.searchParams.set(name, value)
  }
  return url.href
}

/** @returns what is wrong, or null. */
function settleTls(parameters: URLSearchParams): string | null {
  const mode = parameters.get('sslmode')
  if (mode !== null && !SSL_MODES.includes(mode)) return `has an sslmode that is none of ${SSL_MODES.join(', ')}`
  // The authorities that Node knows by itself.
  if (parameters.get('sslrootcert') === 'system') parameters.delete('sslrootcert')
  for (const name of ['sslrootcert', 'sslcert', 'sslkey']) {
    const path = parameters.get(name)
    if (path !== null && !isReadable(path)) return `names a file in ${name} that cannot be read`
  }
  if (parameters.get('uselibpqcompat') === 'true') {
    return mode === 'verify-ca' && !parameters.has('sslrootcert') ? 'needs sslrootcert for sslmode=verify-ca' : null
  }
  if (mode !== null && mode !== 'verify-full' && VERIFYING.includes(mode)) parameters.set('sslmode', 'verify-full')
  return null
}

function isReadable(path: string): boolean {
  try {
    accessSync(path, constants.R_OK)
    return true
  } catch {
    return false
  }
}
