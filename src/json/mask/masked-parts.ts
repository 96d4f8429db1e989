/** What stands where something was. */
export const REDACTED = Buffer.from('"[redacted]"')

/** What is handed on of a chunk, noted while it is read and copied once: where much is masked there are very many small parts. */
export interface MaskedParts {
  begin(chunk: Buffer, isMasking: boolean): void
  /** The chunk is not handed on from there, and what stands for it is. */
  hide(from: number): void
  /** It is, from there on. */
  show(from: number): void
  /** Once for each chunk; the chunk itself where nothing of it is masked. */
  end(): Buffer
  /** How often something was replaced by now. */
  hidden(): number
  /** Bytes handed on up to what was replaced first, and with it; null before. */
  firstEnd(): number | null
}

export function createMaskedParts(): MaskedParts {
  let chunk: Buffer = REDACTED
  let shown = 0
  let hidden = 0
  let firstEnd: number | null = null
  let before = 0
  /** Pairs of places in the chunk; what stands for a value comes between two of them. */
  let count = 0
  const room = createRoom()
  let places = new Uint32Array(256)

  /** Behind the part that ends there; a part may be empty. */
  function add(to: number): void {
    if (count + 2 > places.length) places = grown(places)
    places[count++] = shown
    places[count++] = to
  }

  return {
    begin(given, isMasking) {
      chunk = given
      count = 0
      shown = isMasking ? given.length : 0
    },
    hide(from) {
      add(from)
      hidden++
      shown = chunk.length
    },
    show(from) {
      shown = from
    },
    end() {
      if (count === 0 && shown === 0) {
        before += chunk.length
        return chunk
      }
      add(chunk.length)
      const out = join(chunk, places.subarray(0, count), room)
      if (firstEnd === null && hidden > 0) firstEnd = before + (places[1] as number) + REDACTED.length
      before += out.length
      return out
    },
    hidden: () => hidden,
    firstEnd: () => firstEnd,
  }
}

function grown(places: Uint32Array<ArrayBuffer>): Uint32Array<ArrayBuffer> {
  const more = new Uint32Array(2 * places.length)
  more.set(places)
  return more
}

function join(chunk: Buffer, places: Uint32Array, room: (sizeBytes: number) => Buffer): Buffer {
  let sizeBytes = ((places.length >> 1) - 1) * REDACTED.length
  for (let i = 0; i < places.length; i += 2) sizeBytes += (places[i + 1] as number) - (places[i] as number)
  const out = room(sizeBytes)
  let at = 0
  for (let i = 0; i < places.length; i += 2) {
    if (i > 0) at = redact(out, at)
    const from = places[i] as number
    const to = places[i + 1] as number
    if (from < to) at += chunk.copy(out, at, from, to)
  }
  return out
}

/** Byte by byte: a call would cost more than that. */
function redact(out: Buffer, start: number): number {
  let at = start
  for (let i = 0; i < REDACTED.length; i++) out[at++] = REDACTED[i] as number
  return at
}

const SLAB_BYTES = 1_048_576
/** What is less has a buffer of its own: it may be all that there is. */
const SLAB_FROM_BYTES = 8192

/** Buffers that are parts of larger ones: one of its own for each chunk is more to collect than there is to copy. */
function createRoom(): (sizeBytes: number) => Buffer {
  let slab = REDACTED
  let used = slab.length
  return (sizeBytes) => {
    if (sizeBytes < SLAB_FROM_BYTES || sizeBytes > SLAB_BYTES / 4) return Buffer.allocUnsafe(sizeBytes)
    if (used + sizeBytes > slab.length) {
      slab = Buffer.allocUnsafeSlow(SLAB_BYTES)
      used = 0
    }
    used += sizeBytes
    return slab.subarray(used - sizeBytes, used)
  }
}
