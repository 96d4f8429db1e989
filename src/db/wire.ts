/** A value as PostgreSQL takes it: text, bytes as they are, or null. */
export type Parameter = string | Buffer | null

/** @throws TypeError for what no statement here is given. */
export function parameterOf(value: unknown): Parameter {
  if (value === null || value === undefined) return null
  if (typeof value === 'string' || Buffer.isBuffer(value)) return value
  if (Array.isArray(value)) return arrayText(value)
  if (typeof value === 'object') throw new TypeError('An object is no value of a statement')
  return String(value)
}

/** @see the PostgreSQL manual, section "Array Input and Output Syntax" */
function arrayText(items: readonly unknown[]): string {
  const texts = items.map((item) => {
    const text = parameterOf(item)
    if (Buffer.isBuffer(text)) return `"\\\\x${text.toString('hex')}"`
    return text === null ? 'NULL' : `"${text.replaceAll(/["\\]/g, '\\$&')}"`
  })
  return `{${texts.join()}}`
}

export interface Query {
  /** Of the prepared statement; empty for one that is executed once. */
  readonly name: string
  /** Undefined where it was prepared under its name before. */
  readonly text: string | undefined
  readonly parameters: readonly Parameter[]
  /** Whether the columns of the answer are to be told. */
  readonly describes: boolean
}

/** Of the portal without a name. */
const DESCRIBE = Buffer.from('D\0\0\0\x06P\0', 'latin1')
/** All rows of it, and then the end of what belongs together. */
const EXECUTE_AND_SYNC = Buffer.from('E\0\0\0\x09\0\0\0\0\0S\0\0\0\x04', 'latin1')

/**
 * The messages that execute one statement, in one piece: parse, bind, describe, execute, sync, as far as they are needed.
 * @see the PostgreSQL manual, section "Message Formats"
 */
export function writeQuery({ name, text, parameters, describes }: Query): Buffer {
  const nameBytes = Buffer.byteLength(name)
  const parseBytes = text === undefined ? 0 : 4 + nameBytes + 1 + Buffer.byteLength(text) + 1 + 2
  const sizes = parameters.map((value) => (value === null ? 0 : Buffer.byteLength(value)))
  const bindBytes = 4 + 1 + nameBytes + 1 + 2 + 6 * sizes.length + 2 + sizes.reduce((sum, size) => sum + size, 0) + 2
  const total =
    (text === undefined ? 0 : 1 + parseBytes) +
    1 +
    bindBytes +
    (describes ? DESCRIBE.length : 0) +
    EXECUTE_AND_SYNC.length
  const bytes = Buffer.allocUnsafe(total)
  let at = 0
  if (text !== undefined) {
    at = writeHead(bytes, at, 'P', parseBytes)
    at = writeText(bytes, at, name)
    at = writeText(bytes, at, text)
    at = bytes.writeInt16BE(0, at)
  }
  at = writeHead(bytes, at, 'B', bindBytes)
  at = bytes.writeInt8(0, at)
  at = writeText(bytes, at, name)
  at = writeParameters(bytes, at, { parameters, sizes })
  if (describes) at += DESCRIBE.copy(bytes, at)
  EXECUTE_AND_SYNC.copy(bytes, at)
  return bytes
}

interface Sized {
  readonly parameters: readonly Parameter[]
  readonly sizes: readonly number[]
}

/** Their formats, themselves, and that what comes back shall be text. */
function writeParameters(bytes: Buffer, start: number, { parameters, sizes }: Sized): number {
  let at = bytes.writeInt16BE(parameters.length, start)
  for (const value of parameters) at = bytes.writeInt16BE(Buffer.isBuffer(value) ? 1 : 0, at)
  at = bytes.writeInt16BE(parameters.length, at)
  for (const [index, value] of parameters.entries()) {
    at = bytes.writeInt32BE(value === null ? -1 : (sizes[index] ?? 0), at)
    if (typeof value === 'string') at += bytes.write(value, at)
    else if (value !== null) at += value.copy(bytes, at)
  }
  return bytes.writeInt16BE(0, at)
}

/** @param size of the message, which counts itself and not its type. */
function writeHead(bytes: Buffer, at: number, type: string, size: number): number {
  return bytes.writeInt32BE(size, bytes.writeInt8(type.charCodeAt(0), at))
}

function writeText(bytes: Buffer, at: number, text: string): number {
  return bytes.writeInt8(0, at + bytes.write(text, at))
}
