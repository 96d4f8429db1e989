import { hash, randomBytes, timingSafeEqual } from 'node:crypto'
import { isScope, SCOPES, type Scope, scopesOf } from './scopes.ts'
import type { Viewer } from './viewer.ts'

/** A token as its file knows it: the token itself is nowhere. */
export interface TokenEntry {
  /** 1 to 128 characters without spaces; names its holder in logs. */
  readonly name: string
  readonly scopes: readonly Scope[]
  /** `sha256:<64 hex>` of the token's text. */
  readonly digest: string
}

export interface TokenFile {
  readonly entries: readonly TokenEntry[]
  /** What is wrong with it, by line; never a name or a digest. */
  readonly problems: readonly string[]
}

const NAME = /^[\w.@:+/-]{1,128}$/
const DIGEST = /^sha256:[0-9a-f]{64}$/
const TOKEN_BYTES = 32

/** Reads lines `name scopes sha256:<hex>`, scopes separated by commas; empty lines and those that begin with `#` say nothing. */
export function parseTokenFile(text: string): TokenFile {
  const entries: TokenEntry[] = []
  const problems: string[] = []
  const names = new Set<string>()
  for (const [index, line] of text.split('\n').entries()) {
    if (line.trim() === '' || line.trim().startsWith('#')) continue
    const [name = '', scopes = '', digest = '', ...rest] = line.trim().split(/\s+/)
    const found = scopes.split(',')
    const place = `line ${index + 1}`
    if (rest.length > 0 || !NAME.test(name) || !DIGEST.test(digest))
      problems.push(`${place} is not name, scopes, digest`)
    else if (!found.every(isScope)) problems.push(`${place} has a scope other than ${SCOPES.join(', ')}`)
    else if (names.has(name)) problems.push(`${place} has a name that an earlier one has`)
    else entries.push({ name, scopes: found, digest })
    names.add(name)
  }
  return { entries, problems }
}

export function formatTokenEntry({ name, scopes, digest }: TokenEntry): string {
  return `${name} ${scopes.join(',')} ${digest}`
}

/** A new token, with what the file is to know of it. @throws RangeError for a name that cannot stand there. */
export function createToken(
  name: string,
  scopes: readonly Scope[],
): { readonly token: string; readonly entry: TokenEntry } {
  if (!NAME.test(name)) throw new RangeError('a name has 1 to 128 letters, digits, or _ . @ : + / -')
  const token = `sl_${randomBytes(TOKEN_BYTES).toString('base64url')}`
  return { token, entry: { name, scopes, digest: `sha256:${digestOf(token).toString('hex')}` } }
}

/** Whose a token is; null for nobody's. */
export type TokenCheck = (token: string) => Viewer | null

interface Holder {
  readonly digest: Buffer
  readonly viewer: Viewer
}

/**
 * By the digest of what is shown: where it lies among the others tells nothing of the token, and the whole of it is compared in the same
 * time whatever it is.
 */
export function createTokenCheck(entries: readonly TokenEntry[]): TokenCheck {
  const holders = new Map<string, Holder>()
  for (const { name, scopes, digest: text } of entries) {
    const digest = Buffer.from(text.slice('sha256:'.length), 'hex')
    holders.set(digest.toString('latin1'), { digest, viewer: { name, scopes: scopesOf(scopes), mode: 'token' } })
  }
  return (token) => {
    const digest = digestOf(token)
    const found = holders.get(digest.toString('latin1'))
    return found && timingSafeEqual(found.digest, digest) ? found.viewer : null
  }
}

function digestOf(token: string): Buffer {
  return hash('sha256', token, 'buffer')
}
