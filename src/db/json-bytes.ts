import { EventEmitter } from 'node:events'
import type { Socket } from 'node:net'
import pg from 'pg'
import { parse } from 'pg-protocol'
import { LIMITS, type Pooler } from './pooler.ts'
import { isJsonType } from './value-types.ts'

/**
 * A pg client whose JSON columns arrive as the bytes that PostgreSQL sent. pg by itself decodes every column to text, and the
 * answer would only encode a payload again: that was half of the work of an answer full of them.
 *
 * Behind a pooler it leaves out the limits that it would bring when it connects.
 */
export function createClient(config: pg.ClientConfig, pooler: Pooler): pg.Client {
  const client = new pg.Client(config) as pg.Client & Internals
  // The one place where pg lets its reading of messages be replaced; it is called once the connection stands, TLS included.
  const { connection } = client
  connection.attachListeners = (socket: Socket) => readMessages(socket, connection)
  const startupOf = client.getStartupConf.bind(client)
  client.getStartupConf = () => {
    const startup = Object.entries(startupOf()).filter(([name]) => !pooler.isThere || !isLimit(name))
    return { ...SESSION, ...Object.fromEntries(startup) }
  }
  return client
}

function isLimit(name: string): boolean {
  return LIMITS.some((limit) => limit === name)
}

/** A connection of pg 8. */
export interface Connection extends EventEmitter {
  readonly stream: Socket
  attachListeners: unknown
  /** Who takes what arrives for the statement that is executing; undefined where pg does by itself. */
  receiver?: Receiver | undefined
}

export interface Receiver {
  /** @returns whether it has taken the message; what it leaves goes to pg. */
  take(bytes: Buffer, start: number, end: number, connection: Connection): boolean
}

/** Of pg 8. */
interface Internals {
  readonly connection: Connection
  getStartupConf(): object
}

/**
 * How values are written, whatever the database or the user has set: what arrives is read so. These are the settings that a pooler
 * hands on as well.
 */
const SESSION = { DateStyle: 'ISO', TimeZone: 'UTC', standard_conforming_strings: 'on' }

const DATA_ROW = 'D'.charCodeAt(0)
/** A type byte, and a length that counts itself. */
export const HEAD_BYTES = 5

interface Message {
  readonly name: string
  /** Of a row description. */
  readonly fields?: readonly { readonly dataTypeID: number }[]
}

/** Splits what arrives into messages: data rows are read here, or by who receives them, all others by pg's own parser. */
function readMessages(socket: Socket, connection: Connection): void {
  const others = new EventEmitter()
  let isJson: readonly boolean[] = []
  parse(others as never, (message: Message) => {
    if (message.name === 'rowDescription') isJson = jsonColumns(message)
    connection.emit(message.name === 'error' ? 'errorMessage' : message.name, message)
  })
  const assemble = createAssembler()
  socket.on('data', (chunk: Buffer) => {
    assemble(chunk, (bytes, start, end) => {
      if (connection.receiver?.take(bytes, start, end, connection)) return
      if (bytes[start] !== DATA_ROW) others.emit('data', bytes.subarray(start, end))
      else connection.emit('dataRow', { name: 'dataRow', fields: readRow(bytes, start + HEAD_BYTES, isJson) })
    })
  })
}

type Take = (bytes: Buffer, start: number, end: number) => void

/**
 * Gives whole messages to `take`. Most lie in one chunk, and are taken where they lie; only one that does not is put together, and once,
 * however many chunks it has.
 */
function createAssembler(): (chunk: Buffer, take: Take) => void {
  /** Of the message whose rest is still to come. */
  let parts: Buffer[] = []
  let size = 0
  let needed = 0

  function keep(part: Buffer): void {
    if (part.length === 0) return
    parts.push(part)
    size += part.length
    // A head may come in pieces as well.
    if (size >= HEAD_BYTES && needed === 0) needed = lengthOf(joined(), 0)
  }

  function joined(): Buffer {
    const [only] = parts
    const bytes = only && parts.length === 1 ? only : Buffer.concat(parts, size)
    parts = [bytes]
    return bytes
  }

  /** @returns how much of the chunk belongs to the message that was begun before. */
  function complete(chunk: Buffer, take: Take): number {
    const ofHead = Math.max(HEAD_BYTES - size, 0)
    keep(chunk.subarray(0, ofHead))
    if (needed === 0) return chunk.length
    const end = Math.min(ofHead + needed - size, chunk.length)
    keep(chunk.subarray(ofHead, end))
    if (size < needed) return end
    const bytes = joined()
    parts = []
    size = 0
    needed = 0
    take(bytes, 0, bytes.length)
    return end
  }

  return (chunk, take) => {
    let at = size === 0 ? 0 : complete(chunk, take)
    while (at + HEAD_BYTES <= chunk.length) {
      const end = at + lengthOf(chunk, at)
      if (end > chunk.length) break
      take(chunk, at, end)
      at = end
    }
    keep(chunk.subarray(at))
  }
}

/** Of the message that begins there, its type byte as well. */
function lengthOf(bytes: Buffer, at: number): number {
  return 1 + bytes.readUInt32BE(at + 1)
}

function jsonColumns({ fields = [] }: Message): readonly boolean[] {
  return fields.map(({ dataTypeID }) => isJsonType(dataTypeID))
}

/** The columns of a row: text, or for JSON a view of what was sent. */
function readRow(bytes: Buffer, start: number, isJson: readonly boolean[]): (string | Buffer | null)[] {
  const fields: (string | Buffer | null)[] = []
  let at = start + 2
  for (const json of isJson) {
    const length = bytes.readInt32BE(at)
    at += 4
    if (length === -1) fields.push(null)
    else {
      fields.push(json ? bytes.subarray(at, at + length) : bytes.toString('utf8', at, at + length))
      at += length
    }
  }
  return fields
}
