import { timingSafeEqual } from 'node:crypto'
import { AppError } from '../../errors.ts'
import type { SignedUrl } from '../backend.ts'
import { type LinkKey, linkKeyOf, macOfParts } from './link-keys.ts'

/** How far the clock of the instance that signs may be ahead of the one that verifies. The expiry itself is exact. */
const CLOCK_SKEW_SECONDS = 120
const MAX_FILENAME_BYTES = 255

/** One spelling for each link: parts in this order, none twice, none left over. */
const QUERY =
  /^exp=(?<exp>[1-9]\d{9})&kid=(?<kid>[\w-]{8})&disposition=(?<disposition>attachment|inline)(?:&filename=(?<filename>[\w.~!'()*%-]{1,765}))?&sig=(?<sig>[\w-]{43})$/

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

export interface LinkPresentation {
  readonly disposition: 'attachment' | 'inline'
  /** Name that the holder's browser should give the file; null leaves it open. */
  readonly filename: string | null
}

export interface LinkRequest extends LinkTarget {
  /** Whole seconds, 1 to `maxSeconds`. */
  readonly expiresInSeconds: number
  readonly disposition: 'attachment' | 'inline'
  readonly filename?: string | null
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
}

interface SignedParts extends LinkTarget {
  readonly exp: string
  readonly disposition: string
  /** As it stands in the query; empty where there is none. */
  readonly filename: string
}

export function createLinkSigner(options: LinkSignerOptions): LinkSigner {
  const { secrets, maxSeconds, now = Date.now } = options
  const audience = options.publicUrl.replace(/\/+$/, '')
  const keys = secrets.map(linkKeyOf)
  const [signingKey] = keys
  if (signingKey === undefined) throw new AppError('INTERNAL_SERVER_ERROR', 'Signed links need a secret')

  const macOf = ({ secret }: LinkKey, parts: SignedParts): Buffer => {
    const { snapshotId, digest, exp, disposition, filename } = parts
    return macOfParts(secret, ['v1', audience, snapshotId, digest ?? '', exp, disposition, filename])
  }

  return {
    sign({ snapshotId, digest, expiresInSeconds, disposition, filename: name }) {
      if (!Number.isInteger(expiresInSeconds) || expiresInSeconds < 1 || expiresInSeconds > maxSeconds) {
        throw new AppError('BAD_REQUEST', `A link lives 1 to ${maxSeconds} seconds`)
      }
      const exp = String(Math.floor(now() / 1000) + expiresInSeconds)
      const filename = name === undefined || name === null ? '' : escapeFilename(name)
      const sig = macOf(signingKey, { snapshotId, digest, exp, disposition, filename }).toString('base64url')
      const named = filename === '' ? '' : `&filename=${filename}`
      const query = `exp=${exp}&kid=${signingKey.kid}&disposition=${disposition}${named}&sig=${sig}`
      const url = `${audience}/snapshots/${encodeURIComponent(snapshotId)}/payload?${query}`
      return { url, expiresAt: new Date(Number(exp) * 1000) }
    },

    verify(rawQuery, target) {
      const { exp = '', kid, disposition, filename = '', sig = '' } = QUERY.exec(rawQuery)?.groups ?? {}
      const key = keys.find((candidate) => candidate.kid === kid)
      if (key === undefined || disposition === undefined) throw invalid()
      const expected = macOf(key, { ...target, exp, disposition, filename }).toString('base64url')
      // As text, not decoded: the last of 43 characters has bits that decoding drops.
      if (!timingSafeEqual(Buffer.from(sig), Buffer.from(expected))) throw invalid()
      const secondsLeft = Number(exp) - now() / 1000
      if (secondsLeft > maxSeconds + CLOCK_SKEW_SECONDS) throw invalid()
      if (secondsLeft <= 0) throw new AppError('LINK_EXPIRED', 'This link has expired')
      return {
        disposition: disposition === 'inline' ? 'inline' : 'attachment',
        filename: filename === '' ? null : decodeURIComponent(filename),
      }
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
