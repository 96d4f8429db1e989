import { buffer } from 'node:stream/consumers'
import type { ExecutionResult, GraphQLError } from 'graphql'
import { LRUCache } from 'lru-cache'
import { AppError } from '../errors.ts'
import type { LiveEvent } from '../events/event.ts'
import type { Delivery } from '../events/watch.ts'
import { lateFailure, textOfAnswer } from './answer-text.ts'
import { isLazy, type LazyJson } from './raw-json.ts'

/** Answers to events as bytes, made once for all who ask the same. */
export interface Frames {
  /**
   * The answer to the first of these. Those behind it, which are asked for next, are begun along with it, so that what their answers read
   * is read together.
   * @param group tells apart who asks for something else, or may see something else.
   */
  bytesOf(group: string, deliveries: readonly Delivery[], answerAll: AnswerAll): Promise<Buffer>
}

/** Answers to several events at once, in their order. */
export type AnswerAll = (deliveries: readonly Delivery[]) => readonly Promise<ExecutionResult>[]

export interface FramesOptions {
  readonly maskError: (error: unknown) => GraphQLError
  /** Of answers that may be asked for again; default 16 MiB. */
  readonly maxBytes?: number
}

interface Frame {
  readonly group: string
  readonly event: LiveEvent
  readonly result: Promise<ExecutionResult>
  bytes?: Promise<Buffer>
}

/** Before it is known. */
const GUESSED_BYTES = 2048

export function createFrames({ maskError, maxBytes = 16_777_216 }: FramesOptions): Frames {
  /** Of each event by groups. */
  const known = new WeakMap<LiveEvent, Map<string, Frame>>()
  const kept = new LRUCache<Frame, Frame>({
    maxSize: maxBytes,
    dispose: (frame) => void known.get(frame.event)?.delete(frame.group),
  })

  function begin(group: string, { event }: Delivery, result: Promise<ExecutionResult>): void {
    const frame = { group, event, result }
    // What fails is heard of where it is asked for.
    result.catch(() => {})
    const frames = known.get(event) ?? new Map<string, Frame>()
    known.set(event, frames.set(group, frame))
    kept.set(frame, frame, { size: GUESSED_BYTES })
  }

  return {
    async bytesOf(group, deliveries, answerAll) {
      const missing = deliveries.filter(({ event }) => !known.get(event)?.has(group))
      const [first] = deliveries
      const results = answerAll(missing)
      for (const [index, result] of results.entries()) begin(group, missing[index] as Delivery, result)
      const frame = known.get((first as Delivery).event)?.get(group) as Frame
      frame.bytes ??= frame.result.then((result) => toBytes(result, maskError))
      const bytes = await frame.bytes
      if (kept.has(frame)) kept.set(frame, frame, { size: Math.max(bytes.length, GUESSED_BYTES), noDisposeOnSet: true })
      return bytes
    },
  }
}

/**
 * One line of JSON; payloads are read into it, one after the other.
 * @param maxBytes of all payloads together: one that is too large for what is left is null, with an error at its path.
 */
export async function toBytes(
  result: ExecutionResult,
  maskError: (error: unknown) => GraphQLError,
  maxBytes = Number.POSITIVE_INFINITY,
): Promise<Buffer> {
  const { segments, tail } = textOfAnswer({ ...result, errors: result.errors?.map(maskError) })
  const parts: Buffer[] = []
  const late: object[] = []
  let left = maxBytes
  for (const segment of segments) {
    if (typeof segment === 'string') parts.push(Buffer.from(segment))
    else if (!isLazy(segment)) parts.push(onOneLine(segment))
    else {
      const read = await readLazy(segment, left).catch((error: unknown) => ({ error }))
      if ('error' in read) late.push(lateFailure(segment, read.error, maskError))
      else left -= read.length
      parts.push('error' in read ? Buffer.from('null') : onOneLine(read))
    }
  }
  return Buffer.concat([...parts, Buffer.from(tail(late))])
}

async function readLazy(source: LazyJson, maxBytes: number): Promise<Buffer> {
  const { sizeBytes, body, release } = await source.open()
  try {
    if (sizeBytes > maxBytes) {
      if (!Buffer.isBuffer(body)) body.destroy()
      throw new AppError('PAYLOAD_TOO_LARGE', `An event has no room for ${sizeBytes} bytes: ask for JSON`)
    }
    return Buffer.isBuffer(body) ? body : await buffer(body)
  } finally {
    release()
  }
}

const [NEW_LINE, RETURN, SPACE] = [10, 13, 32]

/** JSON has line breaks only between its parts, where a space says the same. */
function onOneLine(json: Buffer): Buffer {
  if (!json.includes(NEW_LINE) && !json.includes(RETURN)) return json
  return Buffer.from(json.map((byte) => (byte === NEW_LINE || byte === RETURN ? SPACE : byte)))
}
