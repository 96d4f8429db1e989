import { timingSafeEqual } from 'node:crypto'
import { AppError } from '../../errors.ts'
import type { SignedUrl } from '../backend.ts'
import { type LinkKey, linkKeyOf, macOfParts } from './link-keys.ts'
import type { LinkSignerOptions } from './signed-link.ts'

/** One spelling for each link: parts in this order, none twice, none left over. */
const QUERY = /^exp=(?<exp>[1-9]\d{9})&kid=(?<kid>[\w-]{8})&sig=(?<sig>[\w-]{43})$/

/** Links to `/uploads/{uploadId}`. Whoever holds one may PUT the payload that the upload was begun for, until it expires. */
export interface UploadLinkSigner {
  /** @throws AppError `BAD_REQUEST` when the expiry cannot be had: whole seconds, 1 to `maxSeconds`. */
  sign(uploadId: string, expiresInSeconds: number): SignedUrl

  /**
   * Checks the raw query string of a request, without its `?`.
   * @throws AppError `LINK_INVALID` for everything that was not signed here, without saying why; `LINK_EXPIRED`.
   */
  verify(rawQuery: string, uploadId: string): void
}

export function createUploadLinkSigner(options: LinkSignerOptions): UploadLinkSigner {
  const { secrets, maxSeconds, now = Date.now } = options
  const audience = options.publicUrl.replace(/\/+$/, '')
  const keys = secrets.map(linkKeyOf)
  const [signingKey] = keys
  if (signingKey === undefined) throw new AppError('INTERNAL_SERVER_ERROR', 'Signed links need a secret')

  // Not the first part of a download's link: a signature for one of them never opens the other.
  const sigOf = ({ secret }: LinkKey, uploadId: string, exp: string): string =>
    macOfParts(secret, ['upload-v1', audience, uploadId, exp]).toString('base64url')

  return {
    sign(uploadId, expiresInSeconds) {
      if (!Number.isInteger(expiresInSeconds) || expiresInSeconds < 1 || expiresInSeconds > maxSeconds) {
        throw new AppError('BAD_REQUEST', `A link lives 1 to ${maxSeconds} seconds`)
      }
      const exp = String(Math.floor(now() / 1000) + expiresInSeconds)
      const query = `exp=${exp}&kid=${signingKey.kid}&sig=${sigOf(signingKey, uploadId, exp)}`
      return { url: `${audience}/uploads/${uploadId}?${query}`, expiresAt: new Date(Number(exp) * 1000) }
    },

    verify(rawQuery, uploadId) {
      const { exp = '', kid, sig = '' } = QUERY.exec(rawQuery)?.groups ?? {}
      const key = keys.find((candidate) => candidate.kid === kid)
      if (key === undefined) throw invalid()
      // As text, not decoded: the last of 43 characters has bits that decoding drops.
      if (!timingSafeEqual(Buffer.from(sig), Buffer.from(sigOf(key, uploadId, exp)))) throw invalid()
      // Signed here, so its end was within the limit of that time.
      if (Number(exp) <= now() / 1000) throw new AppError('LINK_EXPIRED', 'This link has expired')
    },
  }
}

/** The same for every reason: a forger learns nothing. */
function invalid(): AppError {
  return new AppError('LINK_INVALID', 'This link is not valid')
}
