import { GetObjectCommand } from '@aws-sdk/client-s3'
import { getSignedUrl } from '@aws-sdk/s3-request-presigner'
import { AppError } from '../errors.ts'
import type { SignedUrl, SignOptions, StorageUri } from './backend.ts'
import type { S3Clients } from './s3-client.ts'
import { storeError } from './s3-errors.ts'

/** What Signature Version 4 allows. */
const MAX_EXPIRES_IN_SECONDS = 7 * 24 * 3600
/** A URL dies with the credentials that signed it: end it before, while the holder can still tell why. */
const CREDENTIALS_MARGIN_SECONDS = 60

type Sign = (uri: StorageUri, options: SignOptions) => Promise<SignedUrl>

/** Signs for the public endpoint, without a request to it. */
export function createS3Sign({ signing }: Pick<S3Clients, 'signing'>): Sign {
  return async (uri, { expiresInSeconds, contentDisposition, contentType }) => {
    if (!Number.isInteger(expiresInSeconds) || expiresInSeconds < 1 || expiresInSeconds > MAX_EXPIRES_IN_SECONDS) {
      throw new AppError('BAD_REQUEST', `A link lives 1 to ${MAX_EXPIRES_IN_SECONDS} seconds`)
    }
    const command = new GetObjectCommand({
      Bucket: uri.bucket,
      Key: uri.key,
      ResponseContentDisposition: contentDisposition,
      ResponseContentType: contentType,
    })
    try {
      const { expiration } = await signing.config.credentials()
      // Signatures count in whole seconds.
      const signedAt = Math.floor(Date.now() / 1000)
      const left = expiration
        ? Math.floor(expiration.getTime() / 1000) - signedAt - CREDENTIALS_MARGIN_SECONDS
        : Infinity
      const expiresIn = Math.min(expiresInSeconds, left)
      if (expiresIn < 1) throw new AppError('STORAGE_UNAVAILABLE', 'The storage credentials are about to expire')
      const url = await getSignedUrl(signing, command, { expiresIn, signingDate: new Date(signedAt * 1000) })
      return { url, expiresAt: new Date((signedAt + expiresIn) * 1000) }
    } catch (error) {
      throw storeError(error)
    }
  }
}
