import { readFile, readlink } from 'node:fs/promises'
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'

/** What Node tells of a connection by no documented property; its own timeouts look at the same two numbers. */
interface Handle {
  /** Handed over to libuv. */
  readonly bytesWritten: number
  /** Of those, what the kernel has not taken. */
  readonly writeQueueSize: number
  /** Below zero where there is none. */
  readonly fd?: number
}

/** Bytes that the kernel has taken of a connection. They are not all with the client: the kernel keeps some megabytes. */
export function takenByKernel(socket: Socket): number {
  const handle = handleOf(socket)
  return handle ? handle.bytesWritten - handle.writeQueueSize : socket.bytesWritten - socket.writableLength
}

/**
 * Of each connection, the bytes that the kernel keeps because the client's side has not acknowledged them. Only Linux tells;
 * elsewhere, and for connections that have ended, there is no number.
 */
export async function keptByKernel(sockets: readonly Socket[]): Promise<ReadonlyMap<Socket, number>> {
  const kept = new Map<Socket, number>()
  if (process.platform !== 'linux' || sockets.length === 0) return kept
  const queues = await readQueues()
  for (const socket of sockets) {
    const inode = await inodeOf(socket)
    const queue = inode === undefined ? undefined : queues.get(inode)
    if (queue !== undefined) kept.set(socket, queue)
  }
  return kept
}

/**
 * Ends an answer before its end. A length or a last chunk is missing then, so that nobody takes a part for the whole; to older peers,
 * for whom the end of the connection may be the end of the answer, the connection is reset.
 */
export function breakOff(response: ServerResponse): void {
  const { socket, req: request } = response
  if (socket && !knowsChunks(request) && isTcp(socket)) socket.resetAndDestroy()
  response.destroy()
}

/** Node sends chunks to nobody else, whatever the version is that they name. */
export function knowsChunks({ httpVersion }: IncomingMessage): boolean {
  return httpVersion === '1.1'
}

/** Nothing else can be reset. */
function isTcp(socket: Socket): boolean {
  return socket.remotePort !== undefined && !('encrypted' in socket) && handleOf(socket) !== undefined
}

function handleOf(socket: Socket): Handle | undefined {
  const { _handle: handle } = socket as { readonly _handle?: Partial<Handle> | null }
  return typeof handle?.bytesWritten === 'number' && typeof handle.writeQueueSize === 'number'
    ? (handle as Handle)
    : undefined
}

async function inodeOf(socket: Socket): Promise<string | undefined> {
  const { fd = -1 } = handleOf(socket) ?? {}
  const name = fd < 0 ? '' : await readlink(`/proc/self/fd/${fd}`).catch(() => '')
  return /^socket:\[(\d+)\]$/.exec(name)?.[1]
}

/** Send queues by the inode of their socket, of all connections that this process's network has. */
async function readQueues(): Promise<ReadonlyMap<string, number>> {
  const tables = await Promise.all(
    ['tcp', 'tcp6'].map((name) => readFile(`/proc/self/net/${name}`, 'latin1').catch(() => '')),
  )
  const queues = new Map<string, number>()
  for (const line of tables.flatMap((table) => table.split('\n').slice(1))) {
    // Number, both addresses, state, queues, timer, retransmits, user, timeout, inode.
    const [, , , , lengths = '', , , , , inode = ''] = line.trimStart().split(/\s+/)
    if (inode !== '' && inode !== '0') queues.set(inode, Number.parseInt(lengths, 16))
  }
  return queues
}
