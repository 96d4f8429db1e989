/** What stands where something was. */
export const REDACTED = Buffer.from('"[redacted]"')

/** What is handed on of a chunk, noted while it is read and copied once: where much is masked there are very many small parts. */
export interface MaskedParts {
  begin(chunk: Buffer, isMasking: boolean): void
  /** The chunk is not handed on from there, and what stands for it is. */
  hide(from: number): void
  /** It is, from there on. */
  show(from: number): void
  /** These bytes, in which so many values are replaced, are handed on in the place of a part of the chunk; they are copied. */
  replace(part: { readonly from: number; readonly to: number }, bytes: Uint8Array, count: number): void
  /** Once for each chunk; the chunk itself where nothing of it is masked. */
  end(): Buffer
  /** How often something was replaced by now. */
  hidden(): number
  /** Bytes handed on up to what was replaced first, and with it; null before. */
  firstEnd(): number | null
}

/** From where to where the chunk is handed on, and up to where of the replacements what comes behind it. */
const PART_SIZE = 3

export function createMaskedParts(): MaskedParts {
  let chunk: Buffer = REDACTED
  let shown = 0
  let hidden = 0
  let firstEnd: number | null = null
  let before = 0
  let parts = new Uint32Array(256 * PART_SIZE)
  let count = 0
  /** What stands for parts of the chunk, one behind the other. */
  let replacements = Buffer.allocUnsafeSlow(256)
  let replacedBytes = 0
  const room = createRoom()

  /** Hands on what is shown up to there, and then these bytes. A part may be empty. */
  function add(to: number, bytes: Uint8Array): void {
    if (count === parts.length) parts = grown(parts)
    if (replacedBytes + bytes.length > replacements.length) {
      replacements = Buffer.concat([replacements], 2 * (replacedBytes + bytes.length))
    }
    replacements.set(bytes, replacedBytes)
    replacedBytes += bytes.length
    parts[count++] = shown
    parts[count++] = to
    parts[count++] = replacedBytes
  }

  return {
    begin(given, isMasking) {
      chunk = given
      count = 0
      replacedBytes = 0
      shown = isMasking ? given.length : 0
    },
    hide(from) {
      add(from, REDACTED)
      hidden++
      shown = chunk.length
    },
    show(from) {
      shown = from
    },
    replace({ from, to }, bytes, values) {
      add(from, bytes)
      hidden += values
      shown = to
    },
    end() {
      if (count === 0 && shown === 0) {
        before += chunk.length
        return chunk
      }
      add(chunk.length, NOTHING)
      const out = join(chunk, parts.subarray(0, count), { replacements, room })
      // What stands for a value is always as long, and comes first where it is one of many.
      if (firstEnd === null && hidden > 0) firstEnd = before + (parts[1] as number) + REDACTED.length
      before += out.length
      return out
    },
    hidden: () => hidden,
    firstEnd: () => firstEnd,
  }
}

const NOTHING = new Uint8Array(0)

function grown(parts: Uint32Array<ArrayBuffer>): Uint32Array<ArrayBuffer> {
  const more = new Uint32Array(2 * parts.length)
  more.set(parts)
  return more
}

interface Joining {
  readonly replacements: Buffer
  room(sizeBytes: number): Buffer
}

function join(chunk: Buffer, parts: Uint32Array, { replacements, room }: Joining): Buffer {
  let sizeBytes = parts[parts.length - 1] as number
  for (let i = 0; i < parts.length; i += PART_SIZE) sizeBytes += (parts[i + 1] as number) - (parts[i] as number)
  const out = room(sizeBytes)
  let at = 0
  let replaced = 0
  for (let i = 0; i < parts.length; i += PART_SIZE) {
    const [from, to, next] = [parts[i] as number, parts[i + 1] as number, parts[i + 2] as number]
    if (from < to) at += chunk.copy(out, at, from, to)
    at += replacements.copy(out, at, replaced, next)
    replaced = next
  }
  return out
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
