import { AppError } from '../errors.ts'
import type { Snapshot } from '../model/snapshot.ts'
import type { SignedUrl } from '../storage/backend.ts'
import type { Storage } from '../storage/registry.ts'
import type { LinkPresentation, LinkSigner } from '../storage/signed-link.ts'

/** Longest life of a link, in seconds: whoever holds one needs no other right. */
export const LINK_MAX_SECONDS = 86_400

export const DISPOSITIONS = ['ATTACHMENT', 'INLINE'] as const
export type Disposition = (typeof DISPOSITIONS)[number]

export interface LinkRequest {
  /** 1 to 86,400. */
  readonly expiresInSeconds: number
  readonly disposition: Disposition
  readonly filename?: string | null
}

/** URLs that anyone who holds them can GET until they expire. */
export interface Links {
  /**
   * Null for an inline payload. The store signs where it can; otherwise the link leads to this server.
   * @throws AppError `BAD_REQUEST`, `STORAGE_URI_REJECTED`, `UNSUPPORTED_STORAGE_SCHEME`.
   */
  sign(snapshot: Snapshot, request: LinkRequest): Promise<SignedUrl | null>

  /** Checks the raw query of a link to this server. @throws AppError `LINK_INVALID` or `LINK_EXPIRED`. */
  verify(rawQuery: string, snapshot: Snapshot): LinkPresentation
}

export function createLinks({ storage, signer }: { readonly storage: Storage; readonly signer: LinkSigner }): Links {
  return {
    async sign(snapshot, { expiresInSeconds, disposition, filename }) {
      if (expiresInSeconds < 1 || expiresInSeconds > LINK_MAX_SECONDS) {
        throw new AppError('BAD_REQUEST', `expiresIn must be 1 to ${LINK_MAX_SECONDS} seconds`)
      }
      if (snapshot.storageUri === null) return null
      const { backend, uri } = storage.resolve(snapshot.storageUri)
      const name = safeFilename(filename ?? `${snapshot.stepId ?? snapshot.runId}-${snapshot.seq}.json`)
      // A store hands a coded object even to clients that cannot decode it; this server looks first.
      if (!backend.getSignedUrl || snapshot.contentEncoding !== 'identity' || snapshot.hasInlineCopy) {
        return signer.sign({
          snapshotId: snapshot.snapshotId,
          digest: snapshot.digest,
          expiresInSeconds,
          disposition: disposition === 'INLINE' ? 'inline' : 'attachment',
          filename: name,
        })
      }
      return await backend.getSignedUrl(uri, {
        expiresInSeconds,
        contentDisposition: contentDisposition(disposition === 'INLINE' ? 'inline' : 'attachment', name),
        contentType: snapshot.contentType,
      })
    },
    verify: (rawQuery, { snapshotId, digest }) => signer.verify(rawQuery, { snapshotId, digest }),
  }
}

/** What every file system takes: no separators, quotes or control characters, at most 200 bytes. */
export function safeFilename(name: string): string {
  const cleaned = name
    .toWellFormed()
    .replaceAll(/[\p{Cc}\p{Zl}\p{Zp}\\/:*?"<>|]+/gu, '_')
    .replace(/^[\s.]+|[\s.]+$/gu, '')
  let kept = ''
  for (const character of cleaned) {
    if (Buffer.byteLength(kept + character) > 200) break
    kept += character
  }
  return kept || 'payload.json'
}

/** @see RFC 6266 and RFC 8187: a plain name for old clients, the exact one for the others. */
export function contentDisposition(disposition: 'attachment' | 'inline', filename: string): string {
  const plain = filename.replaceAll(/[^\x20-\x7e]|["\\%]/gu, '_')
  const exact = encodeURIComponent(filename).replaceAll(
    /['()*]/g,
    (character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`,
  )
  return `${disposition}; filename="${plain}"; filename*=UTF-8''${exact}`
}
