import type { Transform } from 'node:stream'
import { constants, createGunzip, createZstdDecompress } from 'node:zlib'

/** Content codings that payloads may be stored and sent in. */
export const ENCODINGS = ['gzip', 'zstd'] as const
export type Encoding = (typeof ENCODINGS)[number]

const CHUNK_BYTES = 65_536
/** 8 MiB, the most that RFC 9659 lets a `zstd` coding ask of its decoder. */
const ZSTD_WINDOW_LOG_MAX = 23

export function isEncoding(name: string): name is Encoding {
  return ENCODINGS.some((encoding) => encoding === name)
}

/** The codings that a `Content-Encoding` lists, in order and in lower case; `identity` is none. RFC 9110 has `x-gzip` mean `gzip`. */
export function codingsIn(header: string): readonly string[] {
  const names = header.split(',').map((name) => name.trim().toLowerCase())
  return names.filter((name) => name !== '' && name !== 'identity').map((name) => (name === 'x-gzip' ? 'gzip' : name))
}

/** Decodes in bounded memory. Truncated input, and anything after the end of the stream, is an error. */
export function createDecoder(encoding: Encoding): Transform {
  const options = { chunkSize: CHUNK_BYTES, rejectGarbageAfterEnd: true }
  if (encoding === 'gzip') return createGunzip(options)
  return createZstdDecompress({ ...options, params: { [constants.ZSTD_d_windowLogMax]: ZSTD_WINDOW_LOG_MAX } })
}

/** Whether a decoder refused its input. */
export function isDecodingError(error: unknown): boolean {
  if (!(error instanceof Error) || !('code' in error)) return false
  return /^(?:Z_|ZSTD_|ERR_TRAILING_JUNK)/.test(String(error.code))
}
