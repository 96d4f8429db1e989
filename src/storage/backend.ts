import type { Readable } from 'node:stream'
import type { AppError } from '../errors.ts'

/** Half-open range of bytes `[start, end)`, counted from the start of the object. */
export interface ByteRange {
  readonly start: number
  readonly end: number
}

/** Where one object lies. Made by `parseStorageUri` or `formatStorageUri` alone, so every part of it has been checked. */
export interface StorageUri {
  /** Lower case, one of those that `registry.ts` lists: `s3`, `minio`, `file`. */
  readonly scheme: string
  /** Empty for `file`. */
  readonly bucket: string
  /** The key byte for byte; for `file` the decoded path below the root, without a leading slash. */
  readonly key: string
}

/** What a store tells of an object without a byte of it. */
export interface ObjectStat {
  readonly sizeBytes: number
  /** Differs between any two versions of the object; null where the store has no such tag. */
  readonly etag: string | null
  /** What the store says that the bytes are coded in, as it says it; left out where it says nothing. */
  readonly contentEncoding?: string | undefined
}

/** An opened object. It holds a socket or a file handle: read `body` to its end, or destroy it. */
export interface StoredObject extends ObjectStat {
  /** Size of the whole object in bytes, even when a range was asked. */
  readonly sizeBytes: number
  /** Single use. Emits Buffers; an error on it means that the bytes so far are not the whole. */
  readonly body: Readable
}

export interface GetOptions {
  readonly range?: ByteRange
  /** Opens this version or none: the `etag` of an earlier answer. */
  readonly ifMatch?: string
  /** Whether this is a repeat of whoever repeats by himself: the store is then asked once, and failures come at once. */
  readonly isAgain?: boolean
  readonly signal?: AbortSignal
}

export interface PutOptions {
  /** Known length in bytes; when it is left out the body is sent in parts. A body of another length is refused. */
  readonly sizeBytes?: number
  readonly contentType?: string
  /**
   * Told the name of an upload in parts before its first part is sent, so that it can be ended by `delete` when this process is
   * killed. What it throws ends the put.
   */
  readonly onMultipart?: (multipartId: string) => Promise<void>
  readonly signal?: AbortSignal
}

export interface PutResult {
  readonly sizeBytes: number
  /** Of the object, where the store keeps versions; otherwise null. */
  readonly versionId: string | null
}

export interface CopyOptions {
  /** Of the source, in bytes. */
  readonly sizeBytes: number
  /** As with `put`. */
  readonly onMultipart?: (multipartId: string) => Promise<void>
  readonly signal?: AbortSignal
}

/** One object whose bytes are to go, and what is known of it. */
export interface DoomedObject {
  readonly uri: StorageUri
  /** Name of the upload in parts that was to become it; null where none is known. */
  readonly multipartId: string | null
  /** Version that was written; null where the store keeps none, or it is not known. */
  readonly versionId: string | null
  /** Whether a put of it may have been cut off: parts without a known name are looked for. */
  readonly isUnfinished: boolean
}

/** One object as a list of the store has it. */
export interface ListedObject {
  readonly uri: StorageUri
  readonly sizeBytes: number
  /** By the clock of the store. */
  readonly modifiedAt: Date
  /** Whether it cannot be read any more, and is there all the same: a bucket that keeps versions has put a mark over it. */
  readonly isHidden: boolean
}

/** What a store keeps of what was deleted. */
export interface Keeping {
  /** Whether it keeps versions: `delete` then deletes all of them. */
  readonly versions: boolean
  /** How long, and how strictly, it lets nobody delete what is stored from now on; null for not at all. */
  readonly lock: { readonly days: number; readonly mode: string } | null
}

export interface SignOptions {
  /** 1 second to 7 days. */
  readonly expiresInSeconds: number
  /** Value of the answer's Content-Disposition. */
  readonly contentDisposition?: string
  readonly contentType?: string
}

export interface SignedUrl {
  readonly url: string
  /** Never later than asked; earlier when the credentials that signed it end earlier. */
  readonly expiresAt: Date
}

/** A body that somebody else will send to the store. */
export interface UploadRequest {
  readonly sizeBytes: number
  /** SHA-256 of the whole body. */
  readonly sha256: Buffer
  readonly contentType: string
  /** 1 second to 7 days. */
  readonly expiresInSeconds: number
}

/** One PUT that anyone who holds it can send, and only so: another length or header is refused by the store. */
export interface SignedPart {
  readonly url: string
  /** To be sent exactly; names in lower case. */
  readonly headers: Readonly<Record<string, string>>
  /** Where its bytes begin in the body. */
  readonly offset: number
  readonly sizeBytes: number
}

export interface SignedUpload {
  /** In order, without gaps; one where the body is sent at once. */
  readonly parts: readonly SignedPart[]
  /** Name that the store gave to an upload in parts; null where the body is sent at once. */
  readonly multipartId: string | null
  /** Never later than asked; earlier when the credentials that signed it end earlier. */
  readonly expiresAt: Date
}

/** An upload as it was signed. */
export interface BegunUpload {
  readonly sizeBytes: number
  /** Null as well where it was meant to be sent in parts and nobody knows whether the store ever heard of it. */
  readonly multipartId: string | null
}

/** Bodies that do not pass this server. Each method rejects as those of `StorageBackend` do. */
export interface DirectUploads {
  /** The URI must be new: a store may let such a PUT replace an object. */
  sign(uri: StorageUri, request: UploadRequest): Promise<SignedUpload>

  /**
   * Makes the object of an upload in parts; does nothing for one that is sent at once, and for one that the store does not know
   * any more: `get` tells whether the object is there.
   * @throws AppError `OBJECT_MISSING` when parts have not arrived yet; `BAD_REQUEST` when one has another length than signed.
   */
  complete(uri: StorageUri, upload: BegunUpload, options?: { readonly signal?: AbortSignal }): Promise<void>

  /** Forgets the parts that have arrived; where there are none, that is no error. An object stays. */
  abort(uri: StorageUri, upload: BegunUpload): Promise<void>
}

/**
 * Where large payloads live. One instance serves one scheme and is shared by all requests.
 * URIs reach it parsed and allowed: see `uri.ts`.
 *
 * Every method rejects with `AppError`: `OBJECT_MISSING` when the object is absent, `STORAGE_TIMEOUT` when the store did not
 * answer in time, `STORAGE_URI_REJECTED` when the URI leads to something that is no object (a link out of the root, a pipe),
 * `STORAGE_UNAVAILABLE` for all else (refused, wrong credentials, disk full). An aborted `signal` rejects with the signal's
 * reason, and an open body ends with it.
 *
 * `test/contract/storage-backend.ts` is the executable form of this comment.
 */
export interface StorageBackend {
  /**
   * Opens one object, or a half-open range of it. Rejects before the first byte, never in the middle, when it is absent.
   * @throws AppError `CONFLICT` when the object is another version than `ifMatch`; `RANGE_NOT_SATISFIABLE` when the range is
   * empty or reaches outside the object.
   * @see RFC 9110 section 14 for HTTP ranges, which are closed: `start-(end-1)`.
   */
  get(uri: StorageUri, options?: GetOptions): Promise<StoredObject>

  /** Looks at one object, and opens none. */
  stat(uri: StorageUri, options?: { readonly signal?: AbortSignal }): Promise<ObjectStat>

  /**
   * Stores one object. Readers see all of it or nothing. Create-only: an object that is already there is never replaced.
   * An error of `body` itself is thrown as it is.
   * @throws AppError `CONFLICT` when the object exists; `BAD_REQUEST` when the body has another length than `sizeBytes`.
   */
  put(uri: StorageUri, body: AsyncIterable<Uint8Array>, options?: PutOptions): Promise<PutResult>

  /**
   * Copies one object of this backend to a new place within the store, without its bytes passing this process. Create-only, as
   * `put`. Absent where the store cannot.
   * @throws AppError `OBJECT_MISSING` when the source is absent, `CONFLICT` when there is an object at the new place.
   */
  copy?(from: StorageUri, to: StorageUri, options: CopyOptions): Promise<PutResult>

  /**
   * Deletes one object; an absent one is no error. Afterwards nothing is left of it: no version that was written, and no part of
   * an upload that was to become it.
   * @throws AppError `STORAGE_UNAVAILABLE` that is lasting where the store has it locked; its details may say `lockedUntil`.
   */
  delete(
    uri: StorageUri,
    options?: Partial<Omit<DoomedObject, 'uri'>> & { readonly signal?: AbortSignal },
  ): Promise<void>

  /**
   * Does as `delete` for many at once. Absent where that is no faster.
   * @returns one entry for each object, in order: null, or why it is still there.
   */
  deleteMany?(
    objects: readonly DoomedObject[],
    options?: { readonly signal?: AbortSignal },
  ): Promise<readonly (AppError | null)[]>

  /**
   * Every object whose key begins with that of `prefix`, each once, a page at a time. What is written or deleted meanwhile may be in it
   * or not. Absent where the store cannot tell.
   */
  list?(prefix: StorageUri, options?: { readonly signal?: AbortSignal }): AsyncIterable<readonly ListedObject[]>

  /** A URL that anyone who holds it can GET. Absent where the store cannot sign: the server then signs a link of its own. */
  getSignedUrl?(uri: StorageUri, options: SignOptions): Promise<SignedUrl>

  /** Absent where the store cannot sign: the body then comes by way of the server, and `put`. */
  readonly directUploads?: DirectUploads

  /** What it keeps of what is deleted in the place where new objects go. Absent where that is nothing. */
  keeping?(options?: { readonly signal?: AbortSignal }): Promise<Keeping>

  /** Resolves when the store answers and the bucket or root is usable; rejects as the other methods do. */
  check(options?: { readonly signal?: AbortSignal }): Promise<void>

  /** Closes idle connections. */
  close(): void
}

/** What a scheme opens: bytes that nobody has counted yet, and errors without a code. `resuming` makes a `StoredObject` of it. */
export interface RawObject extends StoredObject {
  /** What the reader gets for an error of `body`. */
  readonly toError: (error: unknown) => AppError
}

/** What a scheme implements: a `StorageBackend`, but for the bodies that it opens. */
export interface RawBackend extends StorageBackend {
  get(uri: StorageUri, options?: GetOptions): Promise<RawObject>
}
