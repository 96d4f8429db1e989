import type pg from 'pg'
import { type Connection, HEAD_BYTES, type Receiver } from './json-bytes.ts'
import { NO_COLUMNS, type RowColumns, readColumns, readRow } from './rows.ts'
import { type Parameter, writeQuery } from './wire.ts'

/** Told once: an error, or the rows. */
export type Answer = (error: unknown, rows?: unknown[][]) => void

/** What a connection knows of a statement that was prepared on it; without columns they are still to be asked for. */
interface Prepared {
  columns?: RowColumns
}

interface Asked {
  readonly text: string
  readonly parameters: readonly Parameter[]
  /** Undefined for one that is not to be prepared. */
  readonly name: string | undefined
}

const preparedOn = new WeakMap<Connection, Map<string, Prepared>>()

const PARSED = '1'.charCodeAt(0)
const BOUND = '2'.charCodeAt(0)
const NO_ROWS = 'n'.charCodeAt(0)
const ROWS = 'T'.charCodeAt(0)
const ROW = 'D'.charCodeAt(0)
const DONE = 'C'.charCodeAt(0)
const READY = 'Z'.charCodeAt(0)

/**
 * A statement on its way through pg, in place of a query of pg's own: it is written in one piece, its rows are read where they arrive,
 * and what a connection has prepared is not described to it again. A class, since one is made for each statement and pg asks it for
 * a dozen methods.
 */
export class StatementQuery implements pg.Submittable, Receiver {
  readonly text: string
  readonly name: string | undefined
  /** pg puts its own in front of it, to stop its clock. */
  callback: (error: unknown, rows?: unknown[][]) => void
  readonly #parameters: readonly Parameter[]
  readonly #rows: unknown[][] = []
  #prepared: Prepared = {}
  #known: Map<string, Prepared> | undefined
  #failure: unknown

  constructor({ text, parameters, name }: Asked, answer: Answer) {
    this.text = text
    this.name = name
    this.callback = answer
    this.#parameters = parameters
  }

  submit(connection: pg.Connection): void {
    const own = connection as unknown as Connection
    own.receiver = this
    const known = preparedOf(own)
    const prepared = this.name === undefined ? undefined : known.get(this.name)
    this.#known = known
    this.#prepared = prepared ?? {}
    own.stream.write(
      writeQuery({
        name: this.name ?? '',
        text: prepared ? undefined : this.text,
        parameters: this.#parameters,
        describes: this.#prepared.columns === undefined,
      }),
    )
  }

  take(bytes: Buffer, start: number, end: number, connection: Connection): boolean {
    switch (bytes[start]) {
      case ROW:
        this.#takeRow(bytes, start + HEAD_BYTES)
        return true
      case PARSED:
        if (this.name !== undefined) this.#known?.set(this.name, this.#prepared)
        return true
      case ROWS:
        this.#prepared.columns = readColumns(bytes, start + HEAD_BYTES, end)
        return true
      case NO_ROWS:
        this.#prepared.columns = NO_COLUMNS
        return true
      case READY:
        // The next one is sent by what pg does now.
        connection.receiver = undefined
        connection.emit('readyForQuery', { status: bytes.toString('latin1', start + HEAD_BYTES, end) })
        return true
      default:
        return bytes[start] === BOUND || bytes[start] === DONE
    }
  }

  #takeRow(bytes: Buffer, start: number): void {
    if (this.#failure !== undefined) return
    try {
      this.#rows.push(readRow(bytes, start, this.#prepared.columns ?? NO_COLUMNS))
    } catch (error) {
      this.#failure = error
    }
  }

  handleError(error: unknown): void {
    this.callback(this.#failure ?? error)
  }

  handleReadyForQuery(): void {
    if (this.#failure === undefined) this.callback(undefined, this.#rows)
    else this.callback(this.#failure)
  }

  handleRowDescription(): void {}
  handleDataRow(): void {}
  handleCommandComplete(): void {}
  handlePortalSuspended(): void {}
  handleEmptyQuery(): void {}
  handleCopyInResponse(connection: { sendCopyFail(message: string): void }): void {
    connection.sendCopyFail('No source stream defined')
  }
  handleCopyData(): void {}
}

function preparedOf(connection: Connection): Map<string, Prepared> {
  const known = preparedOn.get(connection)
  if (known) return known
  const made = new Map<string, Prepared>()
  preparedOn.set(connection, made)
  return made
}
