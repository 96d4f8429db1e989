import { hash, type KeyObject } from 'node:crypto'
import { errors, type JWTPayload, type JWTVerifyGetKey, type JWTVerifyOptions, jwtVerify } from 'jose'
import { LRUCache } from 'lru-cache'
import { isScope, type Scope, scopesOf } from './scopes.ts'
import type { Viewer } from './viewer.ts'

/** What signatures are checked with: one secret, one public key, or whatever an issuer says its keys are. */
export type JwtKey =
  | { readonly secret: Uint8Array }
  | { readonly publicKey: KeyObject }
  | { readonly keySet: JWTVerifyGetKey }

export interface JwtOptions {
  readonly key: JwtKey
  /** Whom tokens must be of and for; undefined: anybody. */
  readonly issuer?: string | undefined
  readonly audience?: string | undefined
  /** The claim that holds scopes: text, with spaces between them, or a list. */
  readonly scopeClaim: string
  /** Milliseconds since 1970; the clock of the process when left out. */
  readonly now?: (() => number) | undefined
}

/** Whose a token is; null for one that is not good. A promise only where its signature has to be checked. */
export type JwtCheck = (token: string) => Viewer | null | Promise<Viewer | null>

/** A secret never checks what a public key should, and a public key never serves as a secret. */
const OF_SECRETS = ['HS256', 'HS384', 'HS512']
const OF_PUBLIC_KEYS = [
  'RS256',
  'RS384',
  'RS512',
  'PS256',
  'PS384',
  'PS512',
  'ES256',
  'ES384',
  'ES512',
  'EdDSA',
  'Ed25519',
]

/** RFC 7515, section 7.1: without padding, and in one spelling. */
const COMPACT = /^[\w-]+\.[\w-]+\.[\w-]+$/

const SKEW_SECONDS = 60
/** How long a token that was found good is not checked again: as long may one live whose key was taken back. */
const KEPT_MILLIS = 60_000
const KEPT_MAX = 1000

interface Kept {
  readonly viewer: Viewer
  readonly until: number
}

/**
 * Checks JSON Web Tokens: signature by a pinned kind of algorithm, times with 60 seconds for clocks that differ, issuer and audience. A
 * token must name its holder (`sub`) and its end (`exp`).
 */
export function createJwtCheck({ key, issuer, audience, scopeClaim, now = Date.now }: JwtOptions): JwtCheck {
  const kept = new LRUCache<string, Kept>({ max: KEPT_MAX })
  const options = (): JWTVerifyOptions => ({
    issuer,
    audience,
    algorithms: 'secret' in key ? OF_SECRETS : OF_PUBLIC_KEYS,
    clockTolerance: SKEW_SECONDS,
    requiredClaims: ['sub', 'exp'],
    currentDate: new Date(now()),
  })

  async function verify(token: string): Promise<JWTPayload> {
    if ('keySet' in key) return (await jwtVerify(token, key.keySet, options())).payload
    return (await jwtVerify(token, 'secret' in key ? key.secret : key.publicKey, options())).payload
  }

  async function check(token: string, name: string): Promise<Viewer | null> {
    try {
      const payload = await verify(token)
      const { sub, exp = 0 } = payload
      // An issuer may put anything there: what is no text names nobody.
      if (typeof sub !== 'string' || sub === '') return null
      const viewer: Viewer = { name: sub.slice(0, 200), scopes: scopesOf(scopesIn(payload[scopeClaim])), mode: 'jwt' }
      kept.set(name, { viewer, until: Math.min(now() + KEPT_MILLIS, (exp + SKEW_SECONDS) * 1000) })
      return viewer
    } catch (error) {
      // All that jose finds wrong with a token or its key; what else failed is no fault of the token.
      if (error instanceof errors.JOSEError || error instanceof TypeError) return null
      throw error
    }
  }

  return (token) => {
    if (!COMPACT.test(token)) return null
    const name = hash('sha256', token, 'base64')
    const found = kept.get(name)
    return found && found.until > now() ? found.viewer : check(token, name)
  }
}

/** Those of them that are known here. */
function scopesIn(claim: unknown): readonly Scope[] {
  const names: readonly unknown[] = typeof claim === 'string' ? claim.split(' ') : Array.isArray(claim) ? claim : []
  return names.filter((name): name is Scope => typeof name === 'string' && isScope(name))
}
