import { Readable } from 'node:stream'
import { type CompletedPart, UploadPartCommand } from '@aws-sdk/client-s3'
import { AppError } from '../../errors.ts'
import { transferMs } from '../patience.ts'
import { unusable } from './answers.ts'
import type { S3Clients } from './client.ts'
import { putError } from './errors.ts'
import type { UploadPlace } from './multipart.ts'
import { type PartPlan, type PartRules, S3_PART_RULES } from './part-plan.ts'
import type { PartReader } from './part-reader.ts'
import type { WhileAlive } from './while-alive.ts'

const PARTS_IN_FLIGHT = 3

export interface PartsStore extends Pick<S3Clients, 'write'> {
  readonly whileAlive: WhileAlive
  readonly rules: PartRules
}

export interface PartsTransfer {
  readonly place: UploadPlace
  readonly plan: PartPlan
  readonly reader: PartReader
  /** Its first part; null where parts are not held. */
  readonly first: Buffer | null
  readonly sizeBytes?: number | undefined
  /** Aborted by the first failure, whose ever it is. */
  readonly signal: AbortSignal
  fail(error: unknown): void
}

/**
 * Sends all parts of a body, three at a time, and never holds more of it than the rules say.
 * @returns what completes the upload. Rejects only when no request is under way any more.
 */
export async function sendParts(store: PartsStore, transfer: PartsTransfer): Promise<CompletedPart[]> {
  return transfer.first === null
    ? await streamParts(store, transfer)
    : await sendHeldParts(store, transfer, transfer.first)
}

async function sendHeldParts(store: PartsStore, transfer: PartsTransfer, first: Buffer): Promise<CompletedPart[]> {
  const { plan, reader, signal, fail } = transfer
  const { maxParts, heldBytes } = store.rules
  const flights = createFlights({ heldBytes, send: (part) => sendPart(store, transfer, part), fail })
  try {
    let bytes = first
    for (let index = 0; ; index += 1) {
      await flights.turn()
      signal.throwIfAborted()
      flights.launch({ index, bytes })
      if (await reader.isOver()) break
      if (index + 1 === maxParts) throw tooLarge(plan)
      bytes = await reader.fill(await flights.room(plan.sizeOf(index + 1)))
    }
    const parts = await flights.landed()
    signal.throwIfAborted()
    return parts
  } catch (error) {
    fail(error)
    await flights.landed()
    throw error
  }
}

interface HeldPart {
  readonly index: number
  readonly bytes: Buffer
}

interface FlightOptions {
  /** The most that is held, the part that is being filled included. */
  readonly heldBytes: number
  send(part: HeldPart): Promise<CompletedPart>
  fail(error: unknown): void
}

/** The parts that are on their way. Nothing here rejects: `fail` hears of what fails. */
interface Flights {
  /** Resolves when another part may leave. */
  turn(): Promise<void>
  launch(part: HeldPart): void
  /** A buffer for the next part, as soon as there is room for it: one that the store has taken all of, or a new one. */
  room(sizeBytes: number): Promise<Buffer>
  /** All that arrived, in order, once none is under way any more. */
  landed(): Promise<CompletedPart[]>
}

/** Buffers of parts that arrived, for parts to come, whoever sends them: what is let go of lies about until V8 looks for old objects. */
const spare: Buffer[] = []
const SPARE_MAX = 4

function createFlights({ heldBytes, send, fail }: FlightOptions): Flights {
  const parts: CompletedPart[] = []
  const flights = new Set<Promise<void>>()
  let flyingBytes = 0

  return {
    async turn() {
      if (flights.size === PARTS_IN_FLIGHT) await Promise.race(flights)
    },

    launch(part) {
      flyingBytes += part.bytes.length
      const flight = send(part)
        .then((completed) => {
          parts[part.index] = completed
          keep(part.bytes)
        }, fail)
        .finally(() => {
          flyingBytes -= part.bytes.length
          flights.delete(flight)
        })
      flights.add(flight)
    },

    async room(sizeBytes) {
      while (flights.size > 0 && flyingBytes + sizeBytes > heldBytes) await Promise.race(flights)
      return bufferOf(sizeBytes)
    },

    async landed() {
      await Promise.all(flights)
      return parts
    },
  }
}

function keep(bytes: Buffer): void {
  // The last part of a body is cut to what came.
  const whole = Buffer.from(bytes.buffer)
  if (spare.length < SPARE_MAX && whole.length === S3_PART_RULES.partBytes) spare.push(whole)
}

/** One of this size: a spare one, or one that is made. */
export function bufferOf(sizeBytes: number): Buffer {
  const at = spare.findIndex(({ length }) => length === sizeBytes)
  return at < 0 ? Buffer.allocUnsafeSlow(sizeBytes) : (spare.splice(at, 1)[0] ?? Buffer.allocUnsafeSlow(sizeBytes))
}

async function streamParts(store: PartsStore, transfer: PartsTransfer): Promise<CompletedPart[]> {
  const { plan, reader, sizeBytes = 0, fail } = transfer
  const parts: CompletedPart[] = []
  try {
    for (let at = 0, index = 0; at < sizeBytes; index += 1) {
      const partBytes = Math.min(plan.sizeOf(index), sizeBytes - at)
      parts.push(await streamPart(store, transfer, { index, partBytes }))
      at += partBytes
    }
    // There might be more.
    await reader.isOver()
    return parts
  } catch (error) {
    fail(error)
    throw error
  }
}

/** Sent again by the client when it fails. */
async function sendPart(
  { write, whileAlive }: PartsStore,
  { place, signal }: PartsTransfer,
  { index, bytes }: HeldPart,
): Promise<CompletedPart> {
  const PartNumber = index + 1
  const command = new UploadPartCommand({ ...place, PartNumber, Body: bytes })
  const { ETag } = await whileAlive({ totalMs: transferMs(bytes.length), signal }, (options) =>
    write.send(command, options),
  ).catch(rethrow)
  if (!ETag) throw unusable('no name of a part')
  return { PartNumber, ETag }
}

async function streamPart(
  { write, whileAlive }: PartsStore,
  { place, reader, signal }: PartsTransfer,
  { index, partBytes }: { readonly index: number; readonly partBytes: number },
): Promise<CompletedPart> {
  const PartNumber = index + 1
  const { ETag } = await whileAlive({ totalMs: transferMs(partBytes), signal }, (options, patience) => {
    const turn = (whose: 'sender' | 'taker'): void => (whose === 'sender' ? patience.rest() : patience.wait())
    const body = Readable.from(reader.stream(partBytes, turn))
    // Destroyed with an error when the request fails, which says so by itself.
    body.on('error', () => undefined)
    const command = new UploadPartCommand({ ...place, PartNumber, ContentLength: partBytes, Body: body })
    return write.send(command, options)
  }).catch(rethrow)
  if (!ETag) throw unusable('no name of a part')
  return { PartNumber, ETag }
}

function rethrow(error: unknown): never {
  throw putError(error)
}

function tooLarge({ maxBytes }: PartPlan): AppError {
  return new AppError('PAYLOAD_TOO_LARGE', `A body that does not say its length may have ${maxBytes} bytes`)
}
