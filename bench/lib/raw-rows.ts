import { EventEmitter } from 'node:events'
import type { Socket } from 'node:net'
import pg from 'pg'
import { parse } from 'pg-protocol'

/** A column of a row as PostgreSQL sent it: text, or for json its bytes. */
export type RawValue = string | Buffer | null

export interface RowReader {
  rows(statement: { readonly name: string; readonly text: string }, values: readonly unknown[]): Promise<RawValue[][]>
}

const CONNECTIONS = 10
const DATA_ROW = 'D'.charCodeAt(0)

/**
 * Prepared statements over a few connections, with rows as arrays of what was sent. `Buffers` leaves json columns as bytes,
 * which pg by itself decodes to text like everything else.
 */
export async function createRowReader(url: string, json: 'text' | 'buffers'): Promise<RowReader> {
  const clients = Array.from({ length: CONNECTIONS }, () => createClient(url, json))
  await Promise.all(clients.map((client) => client.connect()))
  const waiting: ((client: pg.Client) => void)[] = []
  return {
    async rows(statement, values) {
      const client = clients.pop() ?? (await new Promise<pg.Client>((resolve) => waiting.push(resolve)))
      try {
        return (await client.query({ ...statement, values: [...values], rowMode: 'array' })).rows
      } finally {
        const next = waiting.shift()
        if (next) next(client)
        else clients.push(client)
      }
    },
  }
}

function createClient(connectionString: string, json: 'text' | 'buffers'): pg.Client {
  const connection = new pg.Connection({})
  if (json === 'buffers') {
    // The one place where pg lets its parser be chosen.
    Object.assign(connection, { attachListeners: (socket: Socket) => readMessages(socket, connection) })
  }
  const asSent = (value: unknown) => value
  return new pg.Client({ connectionString, connection, types: { getTypeParser: () => asSent } } as pg.ClientConfig)
}

/** Splits what arrives into messages: data rows are read here, all others by pg's own parser. */
function readMessages(socket: Socket, connection: EventEmitter): void {
  const others = new EventEmitter()
  let isJson: readonly boolean[] = []
  parse(others as never, (message: Message) => {
    if (message.name === 'rowDescription') isJson = jsonColumns(message)
    connection.emit(message.name === 'error' ? 'errorMessage' : message.name, message)
  })
  let rest: Buffer = Buffer.alloc(0)
  socket.on('data', (chunk: Buffer) => {
    const bytes = rest.length === 0 ? chunk : Buffer.concat([rest, chunk])
    let at = 0
    while (at + 5 <= bytes.length) {
      const end = at + 1 + bytes.readUInt32BE(at + 1)
      if (end > bytes.length) break
      if (bytes[at] !== DATA_ROW) others.emit('data', bytes.subarray(at, end))
      else connection.emit('dataRow', { name: 'dataRow', fields: fieldsOf(bytes, at + 5, isJson) })
      at = end
    }
    rest = bytes.subarray(at)
  })
}

interface Message {
  readonly name: string
  /** Of a row description. */
  readonly fields?: readonly { readonly dataTypeID: number }[]
}

function jsonColumns({ fields = [] }: Message): readonly boolean[] {
  return fields.map(({ dataTypeID }) => dataTypeID === pg.types.builtins.JSON)
}

function fieldsOf(bytes: Buffer, start: number, isJson: readonly boolean[]): RawValue[] {
  const fields: RawValue[] = []
  let at = start + 2
  for (let column = 0; column < isJson.length; column++) {
    const length = bytes.readInt32BE(at)
    at += 4
    if (length === -1) {
      fields.push(null)
      continue
    }
    fields.push(isJson[column] ? bytes.subarray(at, at + length) : bytes.toString('utf8', at, at + length))
    at += length
  }
  return fields
}
