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
  /** Until its bytes are asked for. */
  result: Promise<ExecutionResult> | undefined
  bytes: Promise<Buffer> | undefined
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

  /** By its cursor: every subscriber is told of it by an event of its own, while nothing happens again and again by the same. */
  const caughtUps = new LRUCache<string, LiveEvent>({ max: 2000 })

  function shared(delivery: Delivery): Delivery {
    const { event, cursor } = delivery
    if (event.kind !== 'CaughtUp') return delivery
    const first = caughtUps.get(cursor) ?? event
    caughtUps.set(cursor, first)
    return first === event ? delivery : { event: first, cursor }
  }

  function begin(group: string, event: LiveEvent, result: Promise<ExecutionResult>): void {
    const frame: Frame = { group, event, result, bytes: undefined }
    // What fails is heard of where it is asked for.
    result.catch(() => {})
    const frames = known.get(event) ?? new Map<string, Frame>()
    known.set(event, frames.set(group, frame))
    kept.set(frame, frame, { size: GUESSED_BYTES })
  }

  /** Begins all of them when the first is asked for: what each of them alone needs would be read alone. */
  function frameOf(group: string, deliveries: readonly Delivery[], answerAll: AnswerAll): Frame {
    const { event: first } = deliveries[0] as Delivery
    if (!known.get(first)?.has(group)) {
      const missing = deliveries.filter(({ event }) => !known.get(event)?.has(group))
      const results = answerAll(missing)
      for (const [index, { event }] of missing.entries())
        begin(group, event, results[index] as Promise<ExecutionResult>)
    }
    return known.get(first)?.get(group) as Frame
  }

  function startBytes(frame: Frame): Promise<Buffer> {
    const bytes = (frame.result as Promise<ExecutionResult>).then((result) => toBytes(result, maskError))
    frame.result = undefined
    bytes.then(
      ({ length: size }) =>
        kept.has(frame) && kept.set(frame, frame, { size: Math.max(size, GUESSED_BYTES), noDisposeOnSet: true }),
      () => kept.delete(frame),
    )
    return bytes
  }

  return {
    bytesOf(group, deliveries, answerAll) {
      const frame = frameOf(group, deliveries.map(shared), answerAll)
      frame.bytes ??= startBytes(frame)
      return frame.bytes
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
    const bytes = Buffer.isBuffer(body) ? body : await buffer(body)
    source.onSent?.(bytes.length)
    return bytes
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
