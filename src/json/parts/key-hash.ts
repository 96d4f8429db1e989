/** Of a key's unescaped bytes: a whole number below 2^53. */
export type KeyHash = (key: Uint8Array) => number

export const SEED_BYTES = 8

const LOW = 2 ** 32
/** Of the upper half: what a number holds without loss. */
const HIGH_BITS = 0x1fffff

/**
 * HalfSipHash-2-4 with 64 bits, of which 53 are left. By a secret seed: who writes a state cannot choose keys whose hashes are near to
 * each other.
 * @param seed 8 bytes.
 * @see https://github.com/veorq/SipHash
 */
export function createKeyHash(seed: Buffer): KeyHash {
  const [first, second] = [seed.readInt32LE(0), seed.readInt32LE(4)]
  let [v0, v1, v2, v3] = [0, 0, 0, 0]

  function mix(rounds: number): void {
    for (let round = 0; round < rounds; round++) {
      v0 = (v0 + v1) | 0
      v1 = ((v1 << 5) | (v1 >>> 27)) ^ v0
      v0 = (v0 << 16) | (v0 >>> 16)
      v2 = (v2 + v3) | 0
      v3 = ((v3 << 8) | (v3 >>> 24)) ^ v2
      v0 = (v0 + v3) | 0
      v3 = ((v3 << 7) | (v3 >>> 25)) ^ v0
      v2 = (v2 + v1) | 0
      v1 = ((v1 << 13) | (v1 >>> 19)) ^ v2
      v2 = (v2 << 16) | (v2 >>> 16)
    }
  }

  function take(word: number): void {
    v3 ^= word
    mix(2)
    v0 ^= word
  }

  return (key) => {
    v0 = first
    v1 = second ^ 0xee
    v2 = 0x6c796765 ^ first
    v3 = 0x74656462 ^ second
    const whole = key.length - (key.length % 4)
    for (let at = 0; at < whole; at += 4) take(wordAt(key, at, 4))
    take(wordAt(key, whole, key.length - whole) | (key.length << 24))
    v2 ^= 0xee
    mix(4)
    const low = (v1 ^ v3) >>> 0
    v1 ^= 0xdd
    mix(4)
    return ((v1 ^ v3) & HIGH_BITS) * LOW + low
  }
}

function wordAt(bytes: Uint8Array, at: number, length: number): number {
  let word = 0
  for (let index = 0; index < length; index++) word |= (bytes[at + index] ?? 0) << (8 * index)
  return word
}
