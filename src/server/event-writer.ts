import type { ServerResponse } from 'node:http'
import type { EventFrame, EventStream } from '../graphql/event-stream.ts'
import type { RequestContext } from './request.ts'
import { judgeBy } from './slow-readers.ts'
import type { Streams } from './streams.ts'

export const EVENTS = 'text/event-stream'

const HEADERS = {
  'content-type': `${EVENTS}; charset=utf-8`,
  // No proxy may compress it either: it would wait for more.
  'cache-control': 'no-cache, no-transform',
  'x-accel-buffering': 'no',
}

/** A comment, so that whoever reads bytes knows that it is there, and after how many milliseconds an EventSource comes back. */
const BEGINNING = ': events follow\nretry: 2000\n\n'
const COMMENT = ':\n\n'
/** With data, if empty: a browser tells of no event without. */
const COMPLETE = 'event: complete\ndata:\n\n'

/**
 * Writes a stream as GraphQL over SSE, in its "distinct connections mode": as fast as its client takes it, and no further ahead than
 * one frame. It says `complete` when there is nothing more to come; every other end is a pause, and the client comes back.
 * @see https://github.com/graphql/graphql-over-http/blob/main/rfcs/GraphQLOverSSE.md
 */
export async function sendEvents(context: RequestContext, stream: EventStream, streams: Streams): Promise<void> {
  const { response } = context
  const { keepAliveMillis, stallMillis } = streams.limits
  let sentAt = performance.now()
  begin(response)
  // Bytes are few, and a client that is behind costs nothing: all that it owes is to take some.
  judgeBy(response, {
    minBytesPerSecond: 1,
    silentMillis: stallMillis,
    behindMillis: stallMillis,
    aheadMillis: stallMillis,
  })
  const letGo = () => void stream.return()
  const forget = streams.tend({
    look(now) {
      if (now - sentAt < keepAliveMillis || response.writableLength > 0) return
      sentAt = now
      response.write(COMMENT)
    },
    end: letGo,
  })
  response.once('close', letGo)
  if (context.draining.aborted || response.closed) letGo()
  try {
    for (let next = await stream.next(); !next.done; next = await stream.next()) {
      sentAt = performance.now()
      const isTaken = response.write(eventOf(next.value))
      if (next.value.isLast) return void response.end(COMPLETE)
      if (!isTaken) await drained(response)
    }
    response.end()
  } finally {
    forget()
    letGo()
  }
}

/** An operation that has one answer, as a stream of that alone. */
export function sendAsEvent(response: ServerResponse, body: Buffer): void {
  begin(response)
  response.write(eventOf({ cursor: '', body, isLast: true }))
  response.end(COMPLETE)
}

function begin(response: ServerResponse): void {
  response.writeHead(200, HEADERS)
  response.write(BEGINNING)
}

/** One buffer, for one chunk. */
function eventOf({ cursor, body }: EventFrame): Buffer {
  const head = `${cursor === '' ? '' : `id: ${cursor}\n`}event: next\ndata: `
  const event = Buffer.allocUnsafe(head.length + body.length + 2)
  body.copy(event, event.write(head, 'latin1'))
  event.write('\n\n', event.length - 2, 'latin1')
  return event
}

/** Resolves when more may be written, or nobody reads any more. */
async function drained(response: ServerResponse): Promise<void> {
  if (response.closed) return
  await new Promise<void>((resolve) => {
    const settle = () => {
      response.off('drain', settle).off('close', settle)
      resolve()
    }
    response.on('drain', settle).on('close', settle)
  })
}
