import type { Readable } from 'node:stream'

/** A payload ready to be read, from whichever tier. Nothing can be missing any more; a stream can still break. */
export interface OpenPayload {
  /** Of the whole view in bytes, even when a range of it was asked. */
  readonly sizeBytes: number
  /** Bytes at hand, or a stream that must be read to its end or destroyed. A broken or wrong stream never ends cleanly. */
  readonly body: Buffer | Readable
  /** To be called when the last byte has left, or is not wanted: what the payload holds of memory is then free. Once is enough. */
  release(): void
}

/** The same, where only its end tells how much it is. */
export type UnmeasuredPayload = Omit<OpenPayload, 'sizeBytes'> & { readonly sizeBytes: null }

export interface OpenOptions {
  /** False reads through to storage. */
  readonly useCache?: boolean | undefined
  /** @throws AppError `PAYLOAD_TOO_LARGE` before any byte is read. */
  readonly maxBytes?: number | undefined
  readonly signal?: AbortSignal | undefined
}

/** Lets go of a payload that is not read. */
export function discard({ body, release }: Pick<OpenPayload, 'body' | 'release'>): void {
  if (!Buffer.isBuffer(body)) body.destroy()
  release()
}

export const nothingHeld = (): void => {}
