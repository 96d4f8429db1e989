/** A line that is an object. */
export interface ObjectLine {
  /** From 1. */
  readonly number: number
  /** The line with null in the place of the member that is left where it is. Nothing is known of it but where it ends. */
  readonly head: string
  /** Bytes of that member in the file, the end exclusive; null where there is none. */
  readonly apart: { readonly start: number; readonly end: number } | null
}

const LINE_FEED = 0x0a
const SPACE = 0x20
const QUOTE = 0x22
const COMMA = 0x2c
const COLON = 0x3a
const BACKSLASH = 0x5c
/** Of what is held of a line. */
export const HEAD_MAX_BYTES = 1_048_576

/**
 * The lines of a file in constant memory, however long the value of the one member is that is left out. Empty ones are passed over; of
 * a line whose other members are too long the head is empty.
 */
export async function* readObjectLines(
  chunks: AsyncIterable<Uint8Array>,
  apart: string,
): AsyncGenerator<ObjectLine, void, undefined> {
  const line = createLine(Buffer.from(JSON.stringify(apart)))
  let offset = 0
  let number = 1
  for await (const chunk of chunks) {
    for (let at = 0; at < chunk.length; at++) {
      const byte = chunk[at] ?? 0
      if (byte !== LINE_FEED) {
        line.write(byte, offset + at)
        continue
      }
      const read = line.end()
      if (read) yield { number, ...read }
      number += 1
    }
    offset += chunk.length
  }
  const read = line.end()
  if (read) yield { number, ...read }
}

function createLine(apart: Buffer) {
  const head = Buffer.alloc(HEAD_MAX_BYTES)
  let length = 0
  let depth = 0
  let isInString = false
  let isEscaped = false
  /** Where the last string of the outermost object begins in the head. */
  let keyStart = 0
  let keyEnd = 0
  let isApart = false
  let start = -1
  let end = -1

  function keep(byte: number): void {
    if (length < head.length) head[length] = byte
    length += 1
  }

  function writeInString(byte: number): void {
    if (isEscaped) isEscaped = false
    else if (byte === BACKSLASH) isEscaped = true
    else if (byte === QUOTE) {
      isInString = false
      if (depth === 1 && !isApart) keyEnd = length + 1
    }
  }

  function writeOutside(byte: number): void {
    if (byte === QUOTE) {
      isInString = true
      if (depth === 1 && !isApart) keyStart = length
    } else if (byte === 0x7b || byte === 0x5b) depth += 1
    else if (byte === 0x7d || byte === 0x5d) depth -= 1
  }

  return {
    write(byte: number, position: number): void {
      const isOver = isApart && !isInString && (depth === 1 ? byte === COMMA || byte === 0x7d : depth < 1)
      if (isOver) {
        isApart = false
        for (const letter of Buffer.from('null')) keep(letter)
      }
      const wasInString = isInString
      if (wasInString) writeInString(byte)
      else writeOutside(byte)
      if (isApart) {
        if (byte > SPACE || wasInString) {
          if (start === -1) start = position
          end = position + 1
        }
        return
      }
      keep(byte)
      const isValueNext = byte === COLON && !wasInString && depth === 1
      if (isValueNext && start === -1 && head.subarray(keyStart, keyEnd).equals(apart)) isApart = true
    },
    end(): Omit<ObjectLine, 'number'> | null {
      const text = length > head.length ? '' : head.toString('utf8', 0, length)
      const read =
        length === 0 || (text.trim() === '' && length <= head.length)
          ? null
          : { head: text, apart: start === -1 ? null : { start, end } }
      length = 0
      depth = 0
      isInString = false
      isEscaped = false
      keyStart = 0
      keyEnd = 0
      isApart = false
      start = -1
      end = -1
      return read
    },
  }
}
