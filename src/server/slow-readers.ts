import type { ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import { breakOff, keptByKernel, takenByKernel } from './connection.ts'
import { type Account, createAccount, type Pace } from './pace.ts'

export interface SlowReaders {
  /** Looks after an answer until it is forgotten. */
  watch(response: ServerResponse): void
  /** To be told when an answer has left, or its connection is over. */
  forget(response: ServerResponse): void
  /** The answers that are under way. */
  watched(): Iterable<ServerResponse>
}

/** Looks in the time that a client may take nothing. */
const LOOKS = 80
/** Part of that time after which it is first asked what the client has. */
const FIRST_ASKED = 0.25
/** Bytes that the system at the other end takes by itself, once its client has read a little. */
const UNREAD_BYTES = 2_097_152

interface Watched {
  /** What the kernel had taken of the connection before; undefined while another answer has it. */
  readonly start: number | undefined
  reader?: Reader
}

/** An answer that was found waiting for its client. */
interface Reader {
  readonly response: ServerResponse
  readonly socket: Socket
  readonly account: Account
  /** Milliseconds that it has left when it is first asked what the client has. */
  readonly firstAsked: number
  /** What the kernel had taken of the connection before the answer. */
  readonly start: number
  /** What it had taken when the answer was found: its buffers were full, so each later byte has made room at the client. */
  readonly base: number
  /** Bytes that the client had when it was last asked; undefined before. */
  had?: number
  wasWaiting: boolean
}

const ownPaces = new WeakMap<ServerResponse, Pace>()

/** Has an answer judged by a pace of its own, such as one that goes on without end. */
export function judgeBy(response: ServerResponse, pace: Pace): void {
  ownPaces.set(response, pace)
}

/**
 * Cuts every client that takes an answer more slowly than it must. Time counts while there is something for it to take, by this
 * clock: a store that is waited for is not the client's fault, nor is a busy event loop.
 *
 * The kernel hides progress: once its send buffer is full, it tells of room only when a third of it is free again, which takes 23
 * seconds at 64 KiB/s. So what counts is what the client's side has acknowledged, where the system tells.
 */
export function createSlowReaders(pace: Pace): SlowReaders {
  const lookMillis = pace.silentMillis / LOOKS
  const watched = new Map<ServerResponse, Watched>()
  let timer: NodeJS.Timeout | undefined
  let lastLook = 0
  let isAsking = false

  function look(): void {
    const now = performance.now()
    // While this process did something else, nothing could be passed on.
    const millis = Math.min(now - lastLook, 4 * lookMillis)
    lastLook = now
    const doubtful: Reader[] = []
    for (const [response, entry] of watched) {
      entry.reader ??= find(response, entry.start)
      if (entry.reader && isDoubtful(entry.reader, millis)) doubtful.push(entry.reader)
    }
    if (doubtful.length > 0 && !isAsking) judge(doubtful).catch(() => {})
    if (watched.size > 0) return
    clearInterval(timer)
    timer = undefined
  }

  function find(response: ServerResponse, start: number | undefined): Reader | undefined {
    const { socket } = response
    if (!socket || response.writableLength === 0) return undefined
    const base = takenByKernel(socket)
    const own = ownPaces.get(response) ?? pace
    const firstAsked = own.silentMillis * (1 - FIRST_ASKED)
    return { response, socket, account: createAccount(own), firstAsked, start: start ?? base, base, wasWaiting: false }
  }

  function isDoubtful(reader: Reader, millis: number): boolean {
    const { response, account, firstAsked, had } = reader
    const isWaiting = response.socket !== null && response.writableLength > 0
    if (isWaiting && reader.wasWaiting) account.waited(millis)
    reader.wasWaiting = isWaiting
    return account.left() < (had === undefined ? firstAsked : 0)
  }

  /** Asks what the clients have, and cuts who is too slow. */
  async function judge(readers: readonly Reader[]): Promise<void> {
    isAsking = true
    try {
      const taken = readers.map(({ socket }) => takenByKernel(socket))
      const kept = await keptByKernel(readers.map(({ socket }) => socket))
      for (const [index, reader] of readers.entries()) {
        const { socket, response, account } = reader
        settle(reader, taken[index] ?? reader.base, kept.get(socket))
        if (account.left() < 0 && !response.closed) breakOff(response)
      }
    } finally {
      isAsking = false
    }
  }

  return {
    watch(response) {
      watched.set(response, { start: response.socket ? takenByKernel(response.socket) : undefined })
      if (timer) return
      lastLook = performance.now()
      timer = setInterval(look, lookMillis).unref()
    },
    forget: (response) => void watched.delete(response),
    watched: () => watched.keys(),
  }
}

/**
 * Brings the account to what the client has of the answer by now.
 * @param kept of what the kernel has taken, what the client's side has not acknowledged; undefined where nothing is known.
 */
function settle(reader: Reader, taken: number, kept: number | undefined): void {
  const { account, start, base, had } = reader
  const madeRoom = taken - base
  const has = kept === undefined ? madeRoom : taken - start - kept
  if (had === undefined) account.began(Math.max(madeRoom, has - UNREAD_BYTES, 0))
  else if (has > had) account.passed(has - had)
  reader.had = Math.max(has, had ?? 0)
}
