import { createHash, hash } from 'node:crypto'

const MIB = 1_048_576
const DIGEST_BYTES = 32
/** Of 1 MiB each, for objects up to 16 GiB; above that each is of twice, four times … as much. */
const CHUNKS_MAX = 16_384

/** What is known of an object's bytes as they lie in storage, in their coding. */
export interface StoredBytes {
  readonly sizeBytes: number
  /** SHA-256. */
  readonly digest: Buffer
  /** How many bytes each chunk has, but for the last one: 1 MiB times a power of two. */
  readonly chunkSizeBytes: number
  /** 32 bytes a chunk, in order: SHA-256 of 1 MiB, and above that the root of a binary tree over such digests. */
  readonly chunkDigests: Buffer
}

/** Learns it from the bytes, in one pass. */
export interface StoredBytesMeter {
  write(bytes: Uint8Array): void
  /** @param digest SHA-256 of all of it, where it was to be known. */
  end(digest?: Buffer): StoredBytes
}

export interface StoredBytesOptions {
  /** Whether somebody else finds the digest of the whole: nothing is hashed for it here. */
  readonly isDigestKnown?: boolean
  /** Most chunks, an even number; for tests. */
  readonly chunksMax?: number
  /** Bytes of the smallest chunk; for tests. */
  readonly leafBytes?: number
}

export function createStoredBytesMeter(options: StoredBytesOptions = {}): StoredBytesMeter {
  const { chunksMax = CHUNKS_MAX, leafBytes = MIB, isDigestKnown = false } = options
  const whole = isDigestKnown ? undefined : createHash('sha256')
  let chunkSizeBytes = leafBytes
  let digests: Buffer[] = []
  let chunk = createChunkHash(leafBytes)
  let inChunk = 0
  let sizeBytes = 0

  function endChunk(): void {
    digests.push(chunk.end())
    if (digests.length === chunksMax) {
      digests = pairsOf(digests)
      chunkSizeBytes *= 2
    }
    chunk = createChunkHash(leafBytes)
    inChunk = 0
  }

  return {
    write(bytes) {
      whole?.update(bytes)
      sizeBytes += bytes.length
      for (let at = 0; at < bytes.length; ) {
        const part = bytes.subarray(at, at + chunkSizeBytes - inChunk)
        chunk.write(part)
        inChunk += part.length
        at += part.length
        if (inChunk === chunkSizeBytes) endChunk()
      }
    },
    end(digest = whole?.digest() ?? Buffer.alloc(0)) {
      if (inChunk > 0) digests.push(chunk.end())
      return { sizeBytes, digest, chunkSizeBytes, chunkDigests: Buffer.concat(digests) }
    },
  }
}

/** How many chunks an object of that size has. */
export function chunkCountOf({ sizeBytes, chunkSizeBytes }: Pick<StoredBytes, 'sizeBytes' | 'chunkSizeBytes'>): number {
  return Math.ceil(sizeBytes / chunkSizeBytes)
}

export interface ChunkCheck {
  write(bytes: Uint8Array): void
  /** Whether what came is the chunk of that number; the next bytes are those of another chunk. */
  isChunk(index: number): boolean
}

/** Compares chunks with the digests that were noted for them. */
export function createChunkCheck(
  { chunkDigests }: Pick<StoredBytes, 'chunkDigests'>,
  leafBytes: number = MIB,
): ChunkCheck {
  let chunk = createChunkHash(leafBytes)
  return {
    write: (bytes) => chunk.write(bytes),
    isChunk(index) {
      const digest = chunk.end()
      chunk = createChunkHash(leafBytes)
      return chunkDigests.subarray(index * DIGEST_BYTES, (index + 1) * DIGEST_BYTES).equals(digest)
    },
  }
}

/** The digest of one chunk of any number of leaves. */
function createChunkHash(leafBytes: number) {
  /** Roots of trees over 2^height leaves each, higher ones first. */
  const roots: { readonly height: number; readonly digest: Buffer }[] = []
  let leaf = createHash('sha256')
  let inLeaf = 0

  function endLeaf(): void {
    let tree = { height: 0, digest: leaf.digest() }
    for (let last = roots.at(-1); last?.height === tree.height; last = roots.at(-1)) {
      roots.pop()
      tree = { height: tree.height + 1, digest: join(last.digest, tree.digest) }
    }
    roots.push(tree)
    leaf = createHash('sha256')
    inLeaf = 0
  }

  return {
    write(bytes: Uint8Array): void {
      for (let at = 0; at < bytes.length; ) {
        const part = bytes.subarray(at, at + leafBytes - inLeaf)
        leaf.update(part)
        inLeaf += part.length
        at += part.length
        if (inLeaf === leafBytes) endLeaf()
      }
    },
    end(): Buffer {
      if (inLeaf > 0) endLeaf()
      return roots.map(({ digest }) => digest).reduceRight((right, left) => join(left, right))
    },
  }
}

function pairsOf(digests: readonly Buffer[]): Buffer[] {
  return digests.flatMap((left, index) => {
    const right = digests[index + 1]
    return index % 2 === 0 && right ? [join(left, right)] : []
  })
}

function join(left: Buffer, right: Buffer) {
  return hash('sha256', Buffer.concat([left, right]), 'buffer')
}
