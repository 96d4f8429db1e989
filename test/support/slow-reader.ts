import { once } from 'node:events'
import { connect } from 'node:net'

export interface SlowRead {
  /** The first line of the answer. */
  readonly status: string
  /** Whether all that the head announced was read. */
  readonly isComplete: boolean
  /** Of the body. */
  readonly readBytes: number
  /** From the request to the end of the head; infinite where that was not read. */
  readonly headSeconds: number
  /** From the request to the end, or to the end of the connection. */
  readonly seconds: number
}

export interface SlowReader {
  readonly target: string
  /** Sent as the body of a POST of JSON. */
  readonly body?: string
  /** Bytes that may have been read so many seconds after the request. */
  readonly allowance: (seconds: number) => number
  /** Between two looks at the allowance. */
  readonly everyMillis: number
  /** For who may read nothing: also notices a reset, by sending empty lines, so that the server cannot end the connection well. */
  readonly isProbing?: boolean
}

/** One request on a connection of its own, whose answer is read no faster than allowed. It must announce its length. */
export async function readSlowly(
  origin: string,
  { target, body, allowance, everyMillis, isProbing }: SlowReader,
): Promise<SlowRead> {
  const { hostname, port } = new URL(origin)
  const socket = connect({ host: hostname, port: Number(port) })
  await once(socket, 'connect')
  const length =
    body === undefined ? '' : `content-type: application/json\r\ncontent-length: ${Buffer.byteLength(body)}\r\n`
  const method = body === undefined ? 'GET' : 'POST'
  socket.write(`${method} ${target} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n${length}\r\n${body ?? ''}`)
  const beganAt = performance.now()
  const secondsSince = () => (performance.now() - beganAt) / 1000
  let head = ''
  let expected = Number.POSITIVE_INFINITY
  let readBytes = 0
  let headSeconds = Number.POSITIVE_INFINITY

  function take(chunk: Buffer): void {
    if (expected !== Number.POSITIVE_INFINITY) {
      readBytes += chunk.length
      return
    }
    head += chunk.toString('latin1')
    const end = head.indexOf('\r\n\r\n')
    if (end === -1) return
    headSeconds = secondsSince()
    expected = Number(/content-length: *(\d+)/i.exec(head)?.[1])
    readBytes = head.length - end - 4
  }

  function pull(): void {
    // The end is told to who reads on.
    if (socket.readableLength === 0) socket.read()
    for (;;) {
      const size = Math.min(Math.floor(allowance(secondsSince())) - readBytes, socket.readableLength)
      const chunk: Buffer | null = size > 0 ? socket.read(size) : null
      if (chunk === null) return
      take(chunk)
    }
  }

  socket.on('readable', pull)
  const timer = setInterval(pull, everyMillis)
  const over = Promise.withResolvers<void>()
  // How the connection ended shows in what was read.
  socket.on('error', () => {}).once('close', over.resolve)
  const watch = setInterval(() => {
    if (readBytes >= expected) over.resolve()
    else if (isProbing) socket.write('\r\n')
  }, everyMillis)
  try {
    await over.promise
    return {
      status: head.split('\r\n')[0] ?? '',
      isComplete: readBytes === expected,
      readBytes,
      headSeconds,
      seconds: secondsSince(),
    }
  } finally {
    clearInterval(timer)
    clearInterval(watch)
    socket.destroy()
  }
}
