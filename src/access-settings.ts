import { resolve } from 'node:path'
import type { SettingReader } from './setting-reader.ts'

/** Who may come in, and what some see of what is personal. */
export interface AccessConfig {
  readonly authMode: 'none' | 'token' | 'jwt'
  /** Absolute. With `token`, and then alone. */
  readonly authTokensFile?: string
  /** With `jwt`, and then alone. */
  readonly jwt?: JwtConfig
  /** Absolute; undefined: there are no policies. */
  readonly redactionPoliciesFile?: string
  /** Absolute; undefined: every operation may run. */
  readonly trustedDocumentsFile?: string
  /** Requests and MiB of answers that a viewer may ask for in a minute; 0: any. */
  readonly rateLimitPerMinute: number
}

export interface JwtConfig {
  /** Where the keys come from: one of the three. */
  readonly keySource: { readonly jwksUrl: string } | { readonly secret: string } | { readonly publicKeyFile: string }
  readonly issuer?: string
  readonly audience?: string
  readonly scopeClaim: string
}

const LOOPBACK = /^(localhost|127(\.\d{1,3}){3}|::1|\[::1\])$/
/** A shorter one can be guessed from one token. */
const SECRET_MIN_BYTES = 32

export function readAccess(read: SettingReader, problems: string[], host: string): AccessConfig {
  const isTold = read.text('AUTH_MODE') !== undefined
  const authMode = read.choice('AUTH_MODE', ['none', 'token', 'jwt'])
  if (!LOOPBACK.test(host) && !isTold) {
    problems.push(
      'HOST is not loopback: leave it out to serve this machine alone, set AUTH_MODE to token or jwt, or to none to serve everybody who can reach it; some environments set it to what is no address',
    )
  }
  const authTokensFile = path(read, 'AUTH_TOKENS_FILE')
  const jwt = readJwt(read, problems)
  if (authMode === 'token' && authTokensFile === undefined) {
    problems.push('AUTH_TOKENS_FILE is missing, and AUTH_MODE is token: "statelens token add" makes it')
  }
  if (authMode === 'jwt' && !jwt) {
    problems.push('JWT_JWKS_URL, JWT_SECRET or JWT_PUBLIC_KEY_FILE is missing, and AUTH_MODE is jwt')
  }
  return {
    authMode,
    authTokensFile,
    jwt,
    redactionPoliciesFile: path(read, 'REDACTION_POLICIES_FILE'),
    trustedDocumentsFile: path(read, 'TRUSTED_DOCUMENTS_FILE'),
    rateLimitPerMinute: read.integer('RATE_LIMIT_PER_MINUTE', { fallback: 0, min: 0, max: 1_000_000_000 }),
  }
}

function readJwt(read: SettingReader, problems: string[]): JwtConfig | undefined {
  const jwksUrl = read.url('JWT_JWKS_URL', ['http', 'https'])
  const secret = read.text('JWT_SECRET')
  const publicKeyFile = path(read, 'JWT_PUBLIC_KEY_FILE')
  const rest = {
    issuer: read.text('JWT_ISSUER'),
    audience: read.text('JWT_AUDIENCE'),
    scopeClaim: read.text('JWT_SCOPE_CLAIM') ?? 'scope',
  }
  const given = [jwksUrl, secret, publicKeyFile].filter((value) => value !== undefined).length
  if (given > 1) problems.push('JWT_JWKS_URL, JWT_SECRET and JWT_PUBLIC_KEY_FILE: only one of them can be set')
  if (secret !== undefined && Buffer.byteLength(secret) < SECRET_MIN_BYTES) {
    problems.push(`JWT_SECRET must have at least ${SECRET_MIN_BYTES} bytes`)
  }
  if (jwksUrl !== undefined && URL.canParse(jwksUrl) && isOpenToOthers(new URL(jwksUrl))) {
    problems.push('JWT_JWKS_URL must begin with https://: whoever is on the way could give keys of his own')
  }
  if (jwksUrl !== undefined) return { keySource: { jwksUrl }, ...rest }
  if (secret !== undefined) return { keySource: { secret }, ...rest }
  return publicKeyFile === undefined ? undefined : { keySource: { publicKeyFile }, ...rest }
}

/** A name without a dot is one of a network of the operator's own, such as that of a compose file. */
function isOpenToOthers({ protocol, hostname }: URL): boolean {
  return protocol === 'http:' && !LOOPBACK.test(hostname) && hostname.includes('.')
}

function path(read: SettingReader, name: string): string | undefined {
  const value = read.text(name)
  return value === undefined ? undefined : resolve(value)
}
