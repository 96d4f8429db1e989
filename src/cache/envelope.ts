import { hash } from 'node:crypto'

// Header: 4 bytes format, 4 bytes length of the key, 32 bytes sha256 of the bytes, 6 bytes length of the bytes.
const FORMAT = Buffer.from('SLC1', 'latin1')
const KEY_LENGTH_AT = 4
const DIGEST_AT = 8
const LENGTH_AT = 40
const LENGTH_BYTES = 6
const HEADER_BYTES = 46

/** Bytes with the proof of what they are: header, key, bytes. What a shared cache stores, so that no wrong reply is believed. */
export function wrap(key: string, bytes: Buffer): Buffer {
  const keyBytes = encodeKey(key)
  const envelope = Buffer.allocUnsafe(HEADER_BYTES + keyBytes.length + bytes.length)
  FORMAT.copy(envelope)
  envelope.writeUInt32BE(keyBytes.length, KEY_LENGTH_AT)
  hash('sha256', bytes, 'buffer').copy(envelope, DIGEST_AT)
  envelope.writeUIntBE(bytes.length, LENGTH_AT, LENGTH_BYTES)
  keyBytes.copy(envelope, HEADER_BYTES)
  bytes.copy(envelope, HEADER_BYTES + keyBytes.length)
  return envelope
}

/**
 * The bytes that were wrapped under this key: a view into the envelope, not a copy.
 * @returns undefined for anything else: cut short, longer, changed in any bit, of another format, wrapped under another key; and, where
 * the key is a digest, bytes that do not have it, whoever wrapped them.
 */
export function unwrap(key: string, envelope: Buffer): Buffer | undefined {
  const keyBytes = encodeKey(key)
  const bytesAt = HEADER_BYTES + keyBytes.length
  if (envelope.length < bytesAt) return undefined
  if (!envelope.subarray(0, KEY_LENGTH_AT).equals(FORMAT)) return undefined
  if (envelope.readUInt32BE(KEY_LENGTH_AT) !== keyBytes.length) return undefined
  if (!envelope.subarray(HEADER_BYTES, bytesAt).equals(keyBytes)) return undefined
  const bytes = envelope.subarray(bytesAt)
  if (envelope.readUIntBE(LENGTH_AT, LENGTH_BYTES) !== bytes.length) return undefined
  const digest = hash('sha256', bytes, 'buffer')
  if (!digest.equals(envelope.subarray(DIGEST_AT, LENGTH_AT))) return undefined
  return isDigest(key) && key !== `sha256:${digest.toString('hex')}` ? undefined : bytes
}

function isDigest(key: string): boolean {
  return /^sha256:[0-9a-f]{64}$/.test(key)
}

/** UTF-16, which no two strings share; UTF-8 gives all lone surrogates the same bytes. */
function encodeKey(key: string): Buffer {
  return Buffer.from(key, 'utf16le')
}
