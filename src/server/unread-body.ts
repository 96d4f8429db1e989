import type { IncomingMessage, ServerResponse } from 'node:http'

/** How long a client whose request was not read to its end may take to read the answer, and to send what is thrown away. */
const LINGER_MILLIS = 1000
const DISCARD_MILLIS = 5000

/**
 * What was not read of the request's body is not waited for: the connection ends with this answer.
 * @param discardMaxBytes that are thrown away first, so that a client that sends all of it before it reads can read the answer.
 */
export function stopReading(response: ServerResponse, discardMaxBytes: number): void {
  const { req: request } = response
  const { socket } = request
  response.setHeader('connection', 'close')
  // Node throws away what nobody asked for, and would read it for that.
  if (discardMaxBytes === 0) request.resume = () => request
  // To close with bytes unread resets the connection, and the answer may be lost on its way: so FIN first.
  socket.destroySoon = () => {
    if (discardMaxBytes === 0) socket.pause()
    else discard(request, discardMaxBytes)
    socket.end()
    setTimeout(() => socket.destroy(), discardMaxBytes === 0 ? LINGER_MILLIS : DISCARD_MILLIS).unref()
  }
}

function discard(request: IncomingMessage, maxBytes: number): void {
  let rest = maxBytes
  // A reader that gave up still waits for the next chunk, and would keep the rest from flowing.
  request.removeAllListeners('readable')
  request.on('error', () => {})
  request.once('end', () => request.socket.destroy())
  request.on('data', (chunk: Buffer) => {
    rest -= chunk.length
    if (rest < 0) request.socket.destroy()
  })
}

/** A body that its handler did not ask for is read and thrown away by Node, however slowly it comes. */
export function boundRest(request: IncomingMessage, millis: number): void {
  if (request.complete || request.socket.destroyed) return
  const timer = setTimeout(() => request.socket.destroy(), millis).unref()
  request.once('close', () => clearTimeout(timer))
}
