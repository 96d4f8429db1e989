import { GetObjectCommand, type S3Client } from '@aws-sdk/client-s3'
import { getSignedUrl } from '@aws-sdk/s3-request-presigner'
import { AppError } from '../../errors.ts'
import type { SignedUrl, SignOptions, StorageUri } from '../backend.ts'
import type { S3Clients } from './client.ts'
import { storeError } from './errors.ts'

/** What Signature Version 4 allows. */
const MAX_EXPIRES_IN_SECONDS = 7 * 24 * 3600
/** A URL dies with the credentials that signed it: it is said to end so much earlier, and never later than they do. */
const CREDENTIALS_MARGIN_SECONDS = 60

type Sign = (uri: StorageUri, options: SignOptions) => Promise<SignedUrl>

/** Signs for the public endpoint, without a request to it. */
export function createS3Sign({ signing }: Pick<S3Clients, 'signing'>): Sign {
  return async (uri, { expiresInSeconds, contentDisposition, contentType }) => {
    const command = new GetObjectCommand({
      Bucket: uri.bucket,
      Key: uri.key,
      ResponseContentDisposition: contentDisposition,
      ResponseContentType: contentType,
    })
    try {
      const { expiresIn, signingDate, expiresAt } = await signingWindow(signing, expiresInSeconds)
      const url = await getSignedUrl(signing, command, { expiresIn, signingDate })
      return { url, expiresAt }
    } catch (error) {
      throw storeError(error)
    }
  }
}

export interface SigningWindow {
  readonly signingDate: Date
  /** Seconds. */
  readonly expiresIn: number
  readonly expiresAt: Date
}

/**
 * From when until when URLs signed now are good: as long as asked, and never longer than the credentials.
 * @throws AppError `BAD_REQUEST` for a life that no URL can have; `STORAGE_UNAVAILABLE` when the credentials have expired.
 */
export async function signingWindow(signing: S3Client, expiresInSeconds: number): Promise<SigningWindow> {
  if (!Number.isInteger(expiresInSeconds) || expiresInSeconds < 1 || expiresInSeconds > MAX_EXPIRES_IN_SECONDS) {
    throw new AppError('BAD_REQUEST', `A link lives 1 to ${MAX_EXPIRES_IN_SECONDS} seconds`)
  }
  // Near their end the SDK renews them by itself; those it signs with are these or later ones.
  const { expiration } = await signing.config.credentials()
  // Signatures count in whole seconds.
  const signedAt = Math.floor((Date.now() + skewOf(signing)) / 1000)
  const expiresIn = Math.min(expiresInSeconds, lifeUnder(expiration, signedAt))
  // Also when the time they give cannot be read.
  if (!(expiresIn >= 1)) throw expired()
  return { expiresIn, signingDate: new Date(signedAt * 1000), expiresAt: new Date((signedAt + expiresIn) * 1000) }
}

/** A store tells the time in whole seconds, a moment ago. */
const SKEW_MIN_MS = 2000

/** Milliseconds by which the store's clock is ahead of this machine's, as far as its answers have told: it judges by its own. */
function skewOf({ config: { systemClockOffset } }: S3Client): number {
  return Math.abs(systemClockOffset) < SKEW_MIN_MS ? 0 : systemClockOffset
}

/** Seconds that a URL signed now can live: at least half of what its credentials have left. */
function lifeUnder(expiration: Date | undefined, signedAt: number): number {
  if (expiration === undefined) return Number.POSITIVE_INFINITY
  const left = Math.floor(expiration.getTime() / 1000) - signedAt
  return left - Math.min(CREDENTIALS_MARGIN_SECONDS, Math.ceil(left / 2))
}

/** With a cause, for that is what the log tells of: only who runs the server can help. */
function expired(): AppError {
  const cause = new Error('Neither the settings nor the credential chain have later ones')
  return new AppError('STORAGE_UNAVAILABLE', 'The storage credentials have expired', { cause })
}
