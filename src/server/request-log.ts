import { type Logger, writePlainLine } from '../log.ts'
import type { RequestContext } from './request.ts'

export interface LoggedRequest {
  readonly context: RequestContext
  /** Raw, without the query. */
  readonly path: string
  /** Whether it is asked all the time by whoever watches over the server: such lines are for `debug`. */
  readonly isRoutine: boolean
}

/** A path names what was asked for; it may be as long as a request. */
const PATH_LENGTH = 200

/**
 * Says what was asked, by which id, and what became of it, in one line. It must cost next to nothing: small reads are answered in a
 * fraction of a millisecond.
 * @returns to be called when the answer has ended, however it did; undefined where there is no line to be written.
 */
export function startLine(log: Logger, { context, path, isRoutine }: LoggedRequest): (() => void) | undefined {
  const level = isRoutine ? 'debug' : 'info'
  if (!log.isLevelEnabled(level)) return undefined
  const { request, response, told } = context
  const { socket } = response
  const before = socket?.bytesWritten ?? 0
  const began = performance.now()
  return () =>
    writePlainLine(log, level, {
      request: context.id,
      method: request.method,
      // Never the query: it may hold a signature.
      path: path.length > PATH_LENGTH ? path.slice(0, PATH_LENGTH) : path,
      viewer: context.viewer.name ?? undefined,
      operation: told.operation,
      codes: told.codes,
      trace_id: told.traceId,
      status: response.headersSent ? response.statusCode : undefined,
      millis: Math.round((performance.now() - began) * 10) / 10,
      // Of the whole answer, its head as well.
      bytes: (socket?.bytesWritten ?? before) - before,
      isCut: response.writableFinished ? undefined : true,
      msg: 'request',
    })
}

export interface LoggedSocket extends Pick<LoggedRequest, 'context' | 'path'> {
  readonly status: number
}

/** The line of a request that became a connection, or was refused to, written when that is closed. */
export function startSocketLine(log: Logger, { context, path, status }: LoggedSocket): void {
  const { socket, method } = context.request
  const before = socket.bytesWritten
  const began = performance.now()
  socket.once('close', () =>
    log.info(
      {
        request: context.id,
        method,
        path: path.slice(0, PATH_LENGTH),
        viewer: context.told.viewer?.name ?? undefined,
        status,
        millis: Math.round((performance.now() - began) * 10) / 10,
        bytes: socket.bytesWritten - before,
      },
      'request',
    ),
  )
}
