import type { Viewer } from '../auth/viewer.ts'
import { AppError, isAppError } from '../errors.ts'
import { rowOf, type Snapshot } from '../model/snapshot.ts'
import type { SignedUrl } from '../storage/backend.ts'
import type { LinkAccess, LinkPresentation, LinkSigner } from '../storage/links/signed-link.ts'
import type { Storage } from '../storage/registry.ts'
import { createMayRead, type MayRead } from './may-read.ts'

export const DISPOSITIONS = ['ATTACHMENT', 'INLINE'] as const
export type Disposition = (typeof DISPOSITIONS)[number]

export interface LinkRequest {
  /** Whole seconds, 1 to the limit of the server. */
  readonly expiresInSeconds: number
  readonly disposition: Disposition
  /** Made safe before it is used; made from the step where it is left out. */
  readonly filename?: string | null
}

/** All that a client needs to fetch a payload without another right than this. */
export interface DownloadTicket extends SignedUrl {
  readonly method: 'GET'
  /** To be sent along. */
  readonly headers: readonly { readonly name: string; readonly value: string }[]
  /** Whether the bytes come from the store itself and not by way of this server. */
  readonly direct: boolean
  /** Name that the answer gives the file. */
  readonly filename: string
  /** Of the payload; null where only reading it tells. */
  readonly sizeBytes: number | null
  /** Of the same bytes; null where there is none of them. */
  readonly digest: string | null
  readonly contentType: string
  /** Of the bytes that the URL gives to a client that accepts no coding. */
  readonly contentEncoding: string
}

/** URLs that anyone who holds them can GET until they expire. */
export interface Links {
  /** As `ticket`, but null for a payload that has no object. @throws as well what the URI is refused with. */
  sign(snapshot: Snapshot, request: LinkRequest, viewer: Viewer): Promise<SignedUrl | null>

  /**
   * For every payload. The store signs where it can and where its object alone is the payload; otherwise the URL leads to this
   * server, also for a row whose URI cannot be read from: there it is told why, and a list with such a row stays whole.
   * A link gives what its maker may have, whoever holds it and whatever becomes of the maker's own rights: all, or what a policy
   * leaves, and for that no store signs.
   * @throws AppError `BAD_REQUEST`, `FORBIDDEN` for who may not read it, and `STORAGE_UNAVAILABLE` when the store's credentials
   * cannot be had or have expired.
   */
  ticket(snapshot: Snapshot, request: LinkRequest, viewer: Viewer): Promise<DownloadTicket>

  /** Checks the raw query of a link to this server. @throws AppError `LINK_INVALID` or `LINK_EXPIRED`. */
  verify(rawQuery: string, snapshot: Snapshot): LinkPresentation
  /** The failure for a link to an id that is not there: only whoever holds one that was signed here learns that. */
  missing(rawQuery: string, snapshotId: string): AppError
}

/** A link that was made, for who audits. */
export interface MadeLink {
  readonly viewer: Viewer
  readonly snapshotId: string
  readonly access: LinkAccess
  readonly expiresAt: Date
  /** Whether it leads to the store itself. */
  readonly direct: boolean
}

export interface LinksOptions {
  readonly storage: Storage
  readonly signer: LinkSigner
  /** Longest life of a link: whoever holds one needs no other right. */
  readonly maxSeconds: number
  /** By scopes alone, without any policy, when left out. */
  readonly mayRead?: MayRead
  readonly onMade?: ((link: MadeLink) => void) | undefined
}

/** A request that has been checked, as the signers take it. */
interface Wish {
  readonly expiresInSeconds: number
  readonly disposition: 'attachment' | 'inline'
  readonly filename: string
}

export function createLinks(options: LinksOptions): Links {
  const { storage, signer, maxSeconds, mayRead = createMayRead(() => new Map()), onMade } = options

  function wishOf(snapshot: Snapshot, { expiresInSeconds, disposition, filename }: LinkRequest): Wish {
    if (expiresInSeconds < 1 || expiresInSeconds > maxSeconds) {
      throw new AppError('BAD_REQUEST', `expiresIn must be 1 to ${maxSeconds} seconds`)
    }
    return {
      expiresInSeconds,
      disposition: disposition === 'INLINE' ? 'inline' : 'attachment',
      filename: safeFilename(filename ?? `${snapshot.stepId ?? snapshot.runId}-${snapshot.seq}.json`),
    }
  }

  /** Null where the URL has to lead to this server. */
  async function signedByStore(snapshot: Snapshot, wish: Wish): Promise<SignedUrl | null> {
    const { storageUri, contentEncoding, contentType } = snapshot
    // Of two copies only this server knows which one is good.
    if (storageUri === null || snapshot.hasInlineCopy) return null
    const { backend, uri } = storage.resolve(storageUri)
    // A store hands a coded object even to clients that cannot decode it; this server looks first.
    if (!backend.getSignedUrl || contentEncoding !== 'identity') return null
    const { expiresInSeconds, disposition, filename } = wish
    return await backend.getSignedUrl(uri, {
      expiresInSeconds,
      contentDisposition: contentDisposition(disposition, filename),
      contentType,
    })
  }

  /** @throws AppError `FORBIDDEN`. */
  function accessOf(snapshot: Snapshot, viewer: Viewer): LinkAccess {
    const reading = mayRead(viewer, snapshot)
    if (reading === 'no') {
      throw new AppError('FORBIDDEN', 'That state holds personal data: a link to it needs the scope pii:read')
    }
    return reading === 'whole' ? 'whole' : 'masked'
  }

  function made(
    link: SignedUrl,
    { snapshotId }: Snapshot,
    rest: Omit<MadeLink, 'snapshotId' | 'expiresAt'>,
  ): SignedUrl {
    onMade?.({ ...rest, snapshotId, expiresAt: link.expiresAt })
    return link
  }

  return {
    async sign(asked, request, viewer) {
      const snapshot = rowOf(asked)
      const wish = wishOf(snapshot, request)
      if (snapshot.storageUri === null) return null
      const access = accessOf(snapshot, viewer)
      const direct = access === 'whole' ? await signedByStore(snapshot, wish) : null
      const link = direct ?? signer.sign({ ...targetOf(snapshot), ...wish, access })
      return made(link, snapshot, { viewer, access, direct: direct !== null })
    },
    async ticket(asked, request, viewer) {
      const snapshot = rowOf(asked)
      const wish = wishOf(snapshot, request)
      const access = accessOf(snapshot, viewer)
      const direct = access === 'whole' ? await signedByStore(snapshot, wish).catch(nullIfRefused) : null
      const link = direct ?? signer.sign({ ...targetOf(snapshot), ...wish, access })
      // What is told of a masked one is what its viewer sees.
      const { sizeBytes, digest, digestOf, contentType } = asked
      return {
        ...made(link, snapshot, { viewer, access, direct: direct !== null }),
        method: 'GET',
        headers: [],
        direct: direct !== null,
        filename: wish.filename,
        sizeBytes,
        // One of another text would tell the client that it got the wrong bytes.
        digest: digestOf === 'PAYLOAD' ? digest : null,
        contentType,
        contentEncoding: 'identity',
      }
    },
    verify: (rawQuery, snapshot) => signer.verify(rawQuery, targetOf(snapshot)),
    missing: (rawQuery, snapshotId) =>
      signer.recognizes(rawQuery, snapshotId)
        ? new AppError('NOT_FOUND', 'There is no such snapshot')
        : new AppError('LINK_INVALID', 'This link is not valid'),
  }
}

function nullIfRefused(error: unknown): null {
  if (isAppError(error, 'STORAGE_URI_REJECTED') || isAppError(error, 'UNSUPPORTED_STORAGE_SCHEME')) return null
  throw error
}

function targetOf({ snapshotId, digest }: Snapshot) {
  return { snapshotId, digest }
}

const FILENAME_MAX_BYTES = 200
/** What some file system refuses, what cannot be shown, and halves of characters. Joiners stay: emoji are made with them. */
const ILLEGAL = /[\p{Cc}\p{Zl}\p{Zp}\p{Noncharacter_Code_Point}\ufffd\\/:*?"<>|]+/gu
/** Marks that show nothing themselves; those of direction make `gnp.exe` look like `exe.png`. */
const INVISIBLE = /(?![\u200c\u200d])\p{Cf}/gu
/** Names that are a device on Windows, whatever extension they have. */
const DEVICE = /^(?:con|prn|aux|nul|conin\$|conout\$|(?:com|lpt)[\d\u00b9\u00b2\u00b3])\s*(?:\.|$)/iu

/** A name that every file system takes: one part of a path, visible, no device, at most 200 bytes, its extension kept. */
export function safeFilename(name: string): string {
  const cleaned = trimmed(name.toWellFormed().replaceAll(INVISIBLE, '').replaceAll(ILLEGAL, '_'))
  if (/^[\s._]*$/u.test(cleaned)) return 'payload.json'
  const [extension = ''] = /\.[\p{L}\p{N}]{1,16}$/u.exec(cleaned) ?? []
  const stem = cleaned.slice(0, cleaned.length - extension.length)
  const kept = trimmed(firstBytes(stem, FILENAME_MAX_BYTES - 1 - Buffer.byteLength(extension)))
  return `${DEVICE.test(kept) ? '_' : ''}${kept}${extension}`
}

/** Leading dots hide a file; trailing dots and spaces are lost on Windows. */
function trimmed(name: string): string {
  return name.replace(/^[\s.]+|[\s.]+$/gu, '')
}

/** Never ends within a character. */
function firstBytes(text: string, maxBytes: number): string {
  let kept = ''
  let length = 0
  for (const character of text) {
    length += Buffer.byteLength(character)
    if (length > maxBytes) break
    kept += character
  }
  return kept
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
