import type { ExecutionResult } from 'graphql'
import { isLastOne } from '../events/event.ts'
import type { Delivery, Watch } from '../events/watch.ts'

/** What one event of a subscription is on the wire. It may be shared by many subscribers, and is never changed. */
export interface EventFrame {
  /**
   * Where a client goes on that has this frame: the `after` of its next subscription. At most 512 bytes of `A-Z a-z 0-9 _ -`; it stands in
   * the body too, where that was asked for. Empty for a failure.
   */
  readonly cursor: string
  /** JSON of an execution result in UTF-8: one line, without a line break anywhere. */
  readonly body: Buffer
  /** Nothing comes after it: the run has ended, or the subscription has failed. Clients are told that it is complete. */
  readonly isLast: boolean
}

/**
 * The frames of one subscriber, read one at a time: nothing is kept for whoever reads slowly. It sees to its own keepalive: after 15 s
 * without a frame there is one that says `CaughtUp` again, with a new cursor.
 */
export interface EventStream {
  /**
   * Resolves with the next frame, however long that takes, and never rejects: a failure is a last frame with errors, masked already.
   * `done` comes after the last frame, after `return`, and when the server lets go of all streams: without a last frame before it, a
   * client should come back with its cursor. To be called when the frame before it has been passed on, never twice at a time.
   */
  next(): Promise<IteratorResult<EventFrame, undefined>>
  /** Lets go of all that it holds, at once. A `next` that is waiting resolves as done. */
  return(): Promise<IteratorResult<EventFrame, undefined>>
  [Symbol.asyncIterator](): EventStream
}

/** How a subscriber asks, beside the operation. */
export interface SubscribeOptions {
  /** A cursor that the wire itself carries, such as `Last-Event-ID`: it counts in place of the argument `after`. */
  readonly after?: string | undefined
}

/** Tells a stream from an answer: what refused the subscription before it began has no data, any other operation has its own. */
export function isEventStream(result: ExecutionResult | EventStream): result is EventStream {
  return 'next' in result
}

export interface EventStreamOptions {
  readonly watch: Watch
  /** @throws AppError when the subscriber may not go on. */
  readonly authorize: () => Promise<void>
  /** That is asked before the first event after so many milliseconds; 60,000 when left out. */
  readonly authorizeMillis?: number | undefined
  /** The answer to the first of these; those behind it are what comes next. */
  readonly bytesOf: (deliveries: readonly Delivery[]) => Promise<Buffer>
  readonly bytesOfFailure: (error: unknown) => Promise<Buffer>
}

const AUTHORIZE_MILLIS = 60_000
const AHEAD_MAX = 50
const DONE: IteratorResult<EventFrame, undefined> = { done: true, value: undefined }

export function createEventStream(options: EventStreamOptions): EventStream {
  const { watch, authorize, authorizeMillis = AUTHORIZE_MILLIS, bytesOf, bytesOfFailure } = options
  let isOver = false
  let authorizedAt = performance.now()

  async function read(): Promise<EventFrame | undefined> {
    const { value: delivery } = await watch.next()
    if (!delivery) return undefined
    if (performance.now() - authorizedAt >= authorizeMillis) {
      await authorize()
      authorizedAt = performance.now()
    }
    const body = await bytesOf([delivery, ...watch.ahead().slice(0, AHEAD_MAX - 1)])
    return { cursor: delivery.cursor, body, isLast: isLastOne(delivery.event) }
  }

  async function end(): Promise<IteratorResult<EventFrame, undefined>> {
    isOver = true
    await watch.return()
    return DONE
  }

  const stream: EventStream = {
    async next() {
      if (isOver) return DONE
      const frame = await read().catch(
        async (error: unknown): Promise<EventFrame> => ({
          cursor: '',
          body: await bytesOfFailure(error),
          isLast: true,
        }),
      )
      if (isOver || !frame) return await end()
      if (frame.isLast) await end()
      return { done: false, value: frame }
    },
    return: end,
    [Symbol.asyncIterator]: () => stream,
  }
  return stream
}
