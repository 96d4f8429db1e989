import { timingSafeEqual } from 'node:crypto'
import { AppError } from '../../errors.ts'
import type { SignedUrl } from '../backend.ts'
import { type LinkKey, linkKeyOf, macOfParts } from './link-keys.ts'

/** How far the clock of the instance that signs may be ahead of the one that verifies. The expiry itself is exact. */
const CLOCK_SKEW_SECONDS = 120
const MAX_FILENAME_BYTES = 255

/** One spelling for each link: parts in this order, none twice, none left over. */
const QUERY =
  /^exp=(?<exp>[1-9]\d{9})&kid=(?<kid>[\w-]{8})&disposition=(?<disposition>attachment|inline)(?:&filename=(?<filename>[\w.~!'()*%-]{1,765}))?(?:&access=(?<access>masked))?&sig=(?<sig>[\w-]{43})$/

export interface LinkSignerOptions {
  /** The first one signs, all verify: put a new one in front, and take the old one out `maxSeconds` later. */
  readonly secrets: readonly string[]
  /** Longest life of a link. One that ends later than that was not signed here, or under another setting. */
  readonly maxSeconds: number
  /** Base of the links, and their audience: a link to one deployment is void at another. */
  readonly publicUrl: string
  /** Milliseconds since 1970; the clock of the process when left out. */
  readonly now?: () => number
}

export interface LinkTarget {
  readonly snapshotId: string
  /** `sha256:<hex>`; null where the payload has none. Other content under the same id voids the link. */
  readonly digest: string | null
}

/** What a link gives: the payload, or what is left of it for whoever may not have all. */
export type LinkAccess = 'whole' | 'masked'

export interface LinkPresentation {
  readonly access: LinkAccess
  readonly disposition: 'attachment' | 'inline'
  /** Name that the holder's browser should give the file; null leaves it open. */
  readonly filename: string | null
}

export interface LinkRequest extends LinkTarget {
  /** Whole seconds, 1 to `maxSeconds`. */
  readonly expiresInSeconds: number
  readonly disposition: 'attachment' | 'inline'
  readonly filename?: string | null
  /** What its maker may have; `whole` when left out. */
  readonly access?: LinkAccess
}

/** Links to `/snapshots/{id}/payload`. Whoever holds one may GET until it expires. */
export interface LinkSigner {
  /** @throws AppError `BAD_REQUEST` when the expiry or the file name cannot be had. */
  sign(request: LinkRequest): SignedUrl

  /**
   * Checks the raw query string of a request, without its `?`.
   * @throws AppError `LINK_INVALID` for everything that was not signed here, without saying why; `LINK_EXPIRED`.
   */
  verify(rawQuery: string, target: LinkTarget): LinkPresentation

  /** Whether it was signed here for this id, and has not ended, whatever payload it was for: for ids that lead nowhere any more. */
  recognizes(rawQuery: string, snapshotId: string): boolean
}

interface SignedParts {
  readonly snapshotId: string
  readonly exp: string
  readonly disposition: string
  readonly access: LinkAccess
  /** As it stands in the query; empty where there is none. */
  readonly filename: string
}

export function createLinkSigner(options: LinkSignerOptions): LinkSigner {
  const { secrets, maxSeconds, now = Date.now } = options
  const audience = options.publicUrl.replace(/\/+$/, '')
  const keys = secrets.map(linkKeyOf)
  const [signingKey] = keys
  if (signingKey === undefined) throw new AppError('INTERNAL_SERVER_ERROR', 'Signed links need a secret')

  /** Half of it is of the link alone, and known also where there is no payload any more. */
  const halfOf = ({ secret }: LinkKey, digest: readonly string[], parts: SignedParts): Buffer => {
    const { snapshotId, exp, disposition, filename, access } = parts
    return macOfParts(secret, ['v2', audience, snapshotId, exp, disposition, filename, access, ...digest]).subarray(
      0,
      16,
    )
  }
  const macOf = (key: LinkKey, digest: string | null, parts: SignedParts): string =>
    Buffer.concat([halfOf(key, [], parts), halfOf(key, [digest ?? ''], parts)]).toString('base64url')

  /** What a query says, and the key that it names; null where it is none of ours. */
  function read(rawQuery: string, snapshotId: string) {
    const { exp = '', kid, disposition, filename = '', access, sig = '' } = QUERY.exec(rawQuery)?.groups ?? {}
    const key = keys.find((candidate) => candidate.kid === kid)
    if (key === undefined || disposition === undefined) return null
    const parts = { snapshotId, exp, disposition, filename, access: access === 'masked' ? access : 'whole' } as const
    return { key, parts, sig, secondsLeft: Number(exp) - now() / 1000 }
  }

  return {
    sign({ snapshotId, digest, expiresInSeconds, disposition, filename: name, access = 'whole' }) {
      if (!Number.isInteger(expiresInSeconds) || expiresInSeconds < 1 || expiresInSeconds > maxSeconds) {
        throw new AppError('BAD_REQUEST', `A link lives 1 to ${maxSeconds} seconds`)
      }
      const exp = String(Math.floor(now() / 1000) + expiresInSeconds)
      const filename = name === undefined || name === null ? '' : escapeFilename(name)
      const sig = macOf(signingKey, digest, { snapshotId, exp, disposition, filename, access })
      const named = `${filename === '' ? '' : `&filename=${filename}`}${access === 'masked' ? '&access=masked' : ''}`
      const query = `exp=${exp}&kid=${signingKey.kid}&disposition=${disposition}${named}&sig=${sig}`
      const url = `${audience}/snapshots/${encodeURIComponent(snapshotId)}/payload?${query}`
      return { url, expiresAt: new Date(Number(exp) * 1000) }
    },

    verify(rawQuery, { snapshotId, digest }) {
      const found = read(rawQuery, snapshotId)
      if (!found) throw invalid()
      const { key, parts, sig, secondsLeft } = found
      const expected = macOf(key, digest, parts)
      // As text, not decoded: the last of 43 characters has bits that decoding drops.
      if (!timingSafeEqual(Buffer.from(sig), Buffer.from(expected))) throw invalid()
      if (secondsLeft > maxSeconds + CLOCK_SKEW_SECONDS) throw invalid()
      if (secondsLeft <= 0) throw new AppError('LINK_EXPIRED', 'This link has expired')
      const { disposition, filename, access } = parts
      return {
        access,
        disposition: disposition === 'inline' ? 'inline' : 'attachment',
        filename: filename === '' ? null : decodeURIComponent(filename),
      }
    },

    recognizes(rawQuery, snapshotId) {
      const found = read(rawQuery, snapshotId)
      if (!found) return false
      const { key, parts, sig, secondsLeft } = found
      const half = Buffer.from(sig, 'base64url').subarray(0, 16)
      return timingSafeEqual(half, halfOf(key, [], parts)) && secondsLeft > 0
    },
  }
}

function escapeFilename(name: string): string {
  const isLegal = name !== '' && name.isWellFormed() && !/\p{Cc}/u.test(name)
  if (!isLegal || Buffer.byteLength(name) > MAX_FILENAME_BYTES) {
    throw new AppError('BAD_REQUEST', `A file name has 1 to ${MAX_FILENAME_BYTES} bytes and no control characters`)
  }
  return encodeURIComponent(name)
}

/** The same for every reason: a forger learns nothing. */
function invalid(): AppError {
  return new AppError('LINK_INVALID', 'This link is not valid')
}
