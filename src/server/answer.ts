import { once } from 'node:events'
import type { ServerResponse } from 'node:http'
import { type Readable, Writable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import type { ExecutionResult, GraphQLError } from 'graphql'
import { Departure } from '../errors.ts'
import { type AnswerText, lateFailure, textOfAnswer } from '../graphql/answer-text.ts'
import { isLazy, type LazyJson, type OpenBytes, type RawSource } from '../graphql/raw-json.ts'
import { knowsChunks } from './connection.ts'
import { cutStalledClient } from './send-body.ts'

export interface AnswerOptions {
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  /** Turns the failure of a payload that cannot be opened into what the client reads of it. */
  readonly maskError: (error: unknown) => GraphQLError
}

/**
 * Writes one GraphQL answer: `data` first, `errors` last, payloads as their own bytes, with backpressure. What can fail is
 * opened before its first byte: a payload that cannot be is null, with an error at its path. After the head a broken payload
 * destroys the socket, so that nobody takes half an answer for a whole one.
 *
 * Content-Length is sent unless several payloads are streamed: then a late one may still turn out null. Peers to whom no chunks can be
 * sent get one all the same, with room for what may turn out; what is left of it is filled with spaces.
 */
export async function sendAnswer(
  response: ServerResponse,
  result: ExecutionResult,
  options: AnswerOptions,
): Promise<void> {
  const { segments, tail } = textOfAnswer(result)
  const lazy = segments.filter(isLazy)
  if (lazy.length > 0) return await streamSegments(response, { segments, lazy, tail }, options)
  await sendAtHand(response, [...(segments as (string | Buffer)[]), tail([])], options)
}

/** Up to here all of an answer is one buffer; a larger one is not copied, and leaves as fast as its client takes it. */
const ONE_BUFFER_BYTES = 1_048_576
const ONE_TEXT_BYTES = 16_384

async function sendAtHand(
  response: ServerResponse,
  parts: readonly (string | Buffer)[],
  { status, headers }: AnswerOptions,
): Promise<void> {
  const sizeBytes = parts.reduce((sum, part) => sum + Buffer.byteLength(part), 0)
  response.writeHead(status, { ...headers, 'content-length': sizeBytes })
  if (sizeBytes <= ONE_TEXT_BYTES) {
    sendAsText(response, parts, sizeBytes)
    return
  }
  // What the kernel does not take at once may wait for the client.
  if (sizeBytes > 65_536) cutStalledClient(response)
  if (sizeBytes <= ONE_BUFFER_BYTES) {
    response.end(join(parts, sizeBytes))
    return
  }
  for (const part of parts) await write(response, part)
  response.end()
}

/** Node puts a text and the head before it into one piece, and sends anything else as a list of two: that is dearer where both are small. */
function sendAsText(response: ServerResponse, parts: readonly (string | Buffer)[], sizeBytes: number): void {
  if (parts.every((part) => typeof part === 'string')) response.end(parts.join(''))
  // Each byte a character: what comes out are the same bytes.
  else response.end(join(parts, sizeBytes).toString('latin1'), 'latin1')
}

/** One allocation of the exact size: an answer may hold hundreds of payloads. */
function join(parts: readonly (string | Buffer)[], sizeBytes: number): Buffer {
  const body = Buffer.allocUnsafe(sizeBytes)
  let at = 0
  for (const part of parts) at += typeof part === 'string' ? body.write(part, at) : part.copy(body, at)
  return body
}

type Opened = OpenBytes | { readonly failure: object }

interface Streamed extends AnswerText {
  readonly lazy: readonly LazyJson[]
}

async function streamSegments(
  response: ServerResponse,
  { segments, lazy, tail }: Streamed,
  { status, headers, maskError }: AnswerOptions,
): Promise<void> {
  const queue = openAhead(lazy, maskError)
  try {
    const first = await queue.peek()
    const failures = lazy.length === 1 && 'failure' in first ? [first.failure] : []
    const known = lazy.length === 1 ? lengthOf(segments, first) + Buffer.byteLength(tail(failures)) : undefined
    const room = known === undefined && !knowsChunks(response.req) ? roomFor(segments, tail([])) : undefined
    const length = known ?? room
    response.writeHead(status, { ...headers, ...(length === undefined ? {} : { 'content-length': length }) })
    cutStalledClient(response)
    const { sizeBytes, late } = await writeSegments(response, segments, queue)
    if (room !== undefined) await fill(response, room - sizeBytes - Buffer.byteLength(tail(late)))
    response.end(tail(late))
  } finally {
    await queue.close()
  }
}

/** @returns how many bytes it were, and the failures of those payloads that are null. */
async function writeSegments(response: ServerResponse, segments: readonly RawSource[], queue: OpenQueue) {
  const late: object[] = []
  let sizeBytes = 0
  for (const segment of segments) {
    const opened = isLazy(segment) ? await queue.next() : undefined
    if (opened && 'failure' in opened) late.push(opened.failure)
    if (opened && 'body' in opened) {
      sizeBytes += opened.sizeBytes
      await writePayload(response, opened, isLazy(segment) ? segment.onSent : undefined)
      continue
    }
    const part = isLazy(segment) ? 'null' : segment
    sizeBytes += Buffer.byteLength(part)
    await write(response, part)
  }
  return { sizeBytes, late }
}

async function writePayload(
  response: ServerResponse,
  { body, release }: OpenBytes,
  onSent: LazyJson['onSent'],
): Promise<void> {
  try {
    if (!Buffer.isBuffer(body)) return await pour(body, response, onSent)
    await write(response, body)
    onSent?.(body.length)
  } finally {
    release()
  }
}

/** Bytes of the text and of the one payload in it, or of the null in its place. */
function lengthOf(segments: readonly RawSource[], opened: Opened): number {
  return segments.reduce((sum, segment) => {
    if (isLazy(segment)) return sum + ('failure' in opened ? 4 : opened.sizeBytes)
    return sum + (typeof segment === 'string' ? Buffer.byteLength(segment) : segment.length)
  }, 0)
}

/** Of the error that may come in the place of a payload. */
const FAILURE_BYTES = 4096

/** Enough bytes for the text whatever becomes of its payloads; undefined where the size of one is not known. */
function roomFor(segments: readonly RawSource[], end: string): number | undefined {
  let room = Buffer.byteLength(end)
  for (const segment of segments) {
    if (!isLazy(segment)) room += Buffer.byteLength(segment)
    else if (segment.sizeBytes === null) return undefined
    else room += Math.max(segment.sizeBytes, FAILURE_BYTES)
  }
  return room
}

/** @throws Error when there is less than nothing to fill: the answer is then broken off. */
async function fill(response: ServerResponse, sizeBytes: number): Promise<void> {
  if (sizeBytes < 0) throw new Error('An answer became longer than it could be')
  for (let left = sizeBytes; left > 0; left -= SMALL_BYTES) {
    await write(response, ' '.repeat(Math.min(left, SMALL_BYTES)))
  }
}

/** Up to this size payloads are small: several of them may be opened ahead. */
const SMALL_BYTES = 65_536
const SMALL_AHEAD = 8

type OpenQueue = Pick<ReturnType<typeof openAhead>, 'next'>

/** Opens each payload while the one before it is on its way, and no more: every open one holds a socket, a file or its bytes. */
function openAhead(lazy: readonly LazyJson[], maskError: AnswerOptions['maskError']) {
  let next = 0
  const ahead: Promise<Opened>[] = []
  const isSmall = (source: LazyJson | undefined) => source?.sizeBytes != null && source.sizeBytes <= SMALL_BYTES
  const openUpTo = (count: number) => {
    for (;;) {
      const source = lazy[next]
      if (!source || ahead.length >= (isSmall(source) ? SMALL_AHEAD : count)) return
      next += 1
      ahead.push(openOne(source, maskError))
    }
  }
  return {
    async peek(): Promise<Opened> {
      openUpTo(1)
      return (await ahead[0]) as Opened
    },
    async next(): Promise<Opened> {
      openUpTo(2)
      return (await ahead.shift()) as Opened
    },
    /** Lets go of what was opened and not read. */
    async close(): Promise<void> {
      for (const rest of ahead) {
        const result = await rest
        if (!('body' in result)) continue
        if (!Buffer.isBuffer(result.body)) result.body.destroy()
        result.release()
      }
    },
  }
}

async function openOne(source: LazyJson, maskError: AnswerOptions['maskError']): Promise<Opened> {
  try {
    return await source.open()
  } catch (error) {
    return { failure: lateFailure(source, error, maskError) }
  }
}

/** Writes one part, and waits while the client is behind. */
async function write(response: ServerResponse, part: string | Buffer): Promise<void> {
  if (response.write(part)) return
  // One that is closed tells nobody again.
  if (response.destroyed) throw new Departure()
  const settled = new AbortController()
  const { signal } = settled
  try {
    await Promise.race([once(response, 'drain', { signal }), once(response, 'close', { signal })])
  } finally {
    settled.abort()
  }
  if (response.destroyed) throw new Departure()
}

/** Sends a whole body. A pipeline into the response itself would leave its listeners there, more with each payload. */
async function pour(body: Readable, response: ServerResponse, onSent: LazyJson['onSent']): Promise<void> {
  if (response.destroyed) {
    body.destroy()
    throw new Departure()
  }
  const leave = () => sink.destroy(new Departure())
  const sink = new Writable({
    write(chunk: Buffer, _encoding, done) {
      onSent?.(chunk.length)
      if (response.write(chunk)) done()
      else response.once('drain', done)
    },
    destroy(error, done) {
      response.off('close', leave)
      done(error)
    },
  })
  // The pipeline tells of it; between its end and the sink's own there is nobody else to.
  sink.on('error', () => {})
  response.once('close', leave)
  await pipeline(body, sink)
}
