import { AppError } from '../../errors.ts'

/** Null for a weak one, which stays the same while the bytes change. */
export function strongEtag({ ETag: etag }: { readonly ETag?: string | undefined }): string | null {
  return !etag || etag.startsWith('W/') ? null : etag
}

/** An answer that cannot mean what it says. */
export function unusable(what: string): AppError {
  return new AppError('STORAGE_UNAVAILABLE', `Object storage answered with ${what}`)
}
