import { Readable } from 'node:stream'
import { setTimeout as delay } from 'node:timers/promises'
import { AppError, isAppError } from '../errors.ts'
import type { ByteRange, RawBackend, RawObject, StorageBackend } from './backend.ts'
import { createPatience, GRACE_MS, transferMs } from './patience.ts'
import { takeTurn } from './stream-turns.ts'
import { streamed } from './streamed-bytes.ts'

export interface ResumeOptions {
  /** Attempts in a row that bring no byte before the reader is told; 3 when left out. */
  readonly maxFruitless?: number
  /** Milliseconds before the first of them, doubled for each after it; 100 when left out. */
  readonly pauseMs?: number
  /** Milliseconds without a byte before the body counts as broken; 10,000 when left out. */
  readonly stallMs?: number
  /** Milliseconds that the store has for a whole body, beside those that its size earns; 30,000 when left out. */
  readonly graceMs?: number
}

const DEFAULTS: Required<ResumeOptions> = { maxFruitless: 3, pauseMs: 100, stallMs: 10_000, graceMs: GRACE_MS }

/**
 * The same backend, with bodies whose bytes are counted, since neither a chunked HTTP body nor a file that is cut while it is
 * read tells by itself that some are missing. They outlast a broken connection: one that fails, stalls or ends early goes on from the byte
 * after the last one that was delivered, while the object has the ETag of its first answer. The reader gets exactly the bytes
 * that were announced, or an error: `STORAGE_UNAVAILABLE` or `STORAGE_TIMEOUT` when the store does not recover or holds
 * another version now, `OBJECT_MISSING` when the object is gone.
 *
 * Only while the reader waits does the store's time run: a body that is opened ahead or read slowly loses none, and a
 * connection that breaks meanwhile is replaced once somebody reads on.
 */
export function resuming(backend: RawBackend, options: ResumeOptions = {}): StorageBackend {
  const limits = { ...DEFAULTS, ...options }
  return {
    ...backend,
    async get(uri, getOptions = {}) {
      const first = await backend.get(uri, getOptions)
      const { etag, sizeBytes } = first
      const { range = { start: 0, end: sizeBytes }, signal } = getOptions
      const reopen: Reopen | null =
        etag === null ? null : (rest) => backend.get(uri, { ...rest, ifMatch: etag, isAgain: true })
      return { etag, sizeBytes, body: resumingBody(first, { range, signal, reopen, limits }) }
    },
  }
}

type Raw = Pick<RawObject, 'body' | 'toError'>

type Reopen = (rest: { readonly range: ByteRange; readonly signal: AbortSignal }) => Promise<Raw>

interface BodyOptions {
  readonly range: ByteRange
  readonly signal?: AbortSignal
  /** Null where nothing tells one version of the object from another. */
  readonly reopen: Reopen | null
  readonly limits: Required<ResumeOptions>
}

function resumingBody(first: Raw, { range: { start, end }, signal, reopen, limits }: BodyOptions): Readable {
  const progress = {
    at: start,
    fruitless: 0,
    failure: unfinished(),
    isWanted: false,
    isHeld: false,
    isReopening: false,
  }
  /** Null from when one is broken until the next one is open. */
  let source: Readable | null = null
  const ended = new AbortController()
  const patience = createPatience({
    totalMs: transferMs(end - start, limits.graceMs),
    stallMs: limits.stallMs,
    onStall: () => source?.destroy(late()),
    onOver: () => body.destroy(late()),
  })
  const onAbort = (): void => void body.destroy(signal?.reason)

  const body = new Readable({
    // Pieces that lie here are kept alive for nothing.
    highWaterMark: 1,
    read() {
      progress.isWanted = true
      if (progress.isHeld) return
      patience.wait()
      if (source) source.resume()
      else void goOn()
    },
    destroy(error, done) {
      signal?.removeEventListener('abort', onAbort)
      patience.end()
      ended.abort()
      const last = source
      source = null
      last?.destroy()
      done(error)
    },
  })

  function attach({ body: stream, toError }: Raw): void {
    source = stream
    let hasEnded = false
    const leave = (error: Error): void => {
      if (source !== stream) return
      source = null
      progress.isHeld = false
      stream.destroy()
      progress.failure = error
      if (!progress.isWanted) return
      patience.wait()
      void goOn()
    }
    const finish = (): void => {
      if (progress.at < end) {
        leave(unfinished())
        return
      }
      source = null
      patience.end()
      body.push(null)
    }
    const handOn = (chunk: Buffer): void => {
      // What another connection takes the place of is asked for again.
      if (source !== stream) return
      const wasHeld = progress.isHeld
      progress.isHeld = false
      progress.at += chunk.length
      streamed(chunk.length)
      progress.fruitless = 0
      if (progress.at > end) return void body.destroy(unfinished())
      const wantsMore = body.push(chunk)
      if (!wantsMore) progress.isWanted = false
      if (hasEnded) finish()
      else if (!wantsMore) {
        patience.rest()
        stream.pause()
      } else if (wasHeld) {
        patience.wait()
        stream.resume()
      }
    }
    stream.on('data', (chunk: Buffer) => {
      if (source !== stream) return
      patience.fed()
      if (takeTurn(chunk.length, () => handOn(chunk))) return
      progress.isHeld = true
      patience.rest()
      stream.pause()
    })
    stream.on('end', () => {
      hasEnded = true
      // A stream that is paused at its last piece ends all the same.
      if (!progress.isHeld) finish()
    })
    stream.on('error', (error) => leave(toError(error)))
    stream.on('close', () => {
      if (!hasEnded) leave(unfinished())
    })
  }

  async function goOn(): Promise<void> {
    if (progress.isReopening) return
    progress.isReopening = true
    while (!body.destroyed && source === null) {
      const isHopeless = reopen === null || progress.at === end || progress.fruitless === limits.maxFruitless
      if (isHopeless || !isPassing(progress.failure)) body.destroy(toFinal(progress.failure))
      else await tryAgain(reopen)
    }
    progress.isReopening = false
  }

  async function tryAgain(open: Reopen): Promise<void> {
    const pauseMs = limits.pauseMs * 2 ** progress.fruitless * (0.5 + Math.random() / 2)
    progress.fruitless += 1
    try {
      await delay(pauseMs, undefined, { signal: ended.signal })
      const rest = await open({ range: { start: progress.at, end }, signal: ended.signal })
      if (body.destroyed) rest.body.destroy()
      else attach(rest)
    } catch (error) {
      progress.failure = error as Error
    }
  }

  attach(first)
  signal?.addEventListener('abort', onAbort, { once: true })
  if (signal?.aborted) onAbort()
  return body
}

function isPassing(error: unknown): boolean {
  return isAppError(error) && error.isRetryable
}

/** A reader asks for no version and no range that the object could refuse: it was replaced meanwhile. */
function toFinal(error: Error): Error {
  if (!isAppError(error, 'CONFLICT') && !isAppError(error, 'RANGE_NOT_SATISFIABLE')) return error
  return new AppError('STORAGE_UNAVAILABLE', 'The object was replaced while it was read', { cause: error })
}

function unfinished(): Error {
  return new AppError('STORAGE_UNAVAILABLE', 'Storage sent another number of bytes than it announced')
}

function late(): Error {
  return new AppError('STORAGE_TIMEOUT', 'Storage took too long to send an object')
}
