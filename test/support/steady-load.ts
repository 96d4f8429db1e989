import { Agent, request } from 'node:http'
import { text } from 'node:stream/consumers'
import { setTimeout as delay } from 'node:timers/promises'

export interface SteadyLoad extends AsyncDisposable {
  /** Answers so far that were as they should be. */
  readonly answers: number
  /** What became of the others, in the order of their failure. */
  readonly failures: readonly Failure[]
  /** Resolves when nothing is under way any more. */
  stop(): Promise<void>
}

export interface Failure {
  /** By `performance.now()`. */
  readonly askedAt: number
  readonly failedAt: number
  readonly why: string
}

export interface SteadyLoadOptions {
  readonly origin: string
  /** Asked one after the other on each of its connections. */
  readonly query: string
  readonly connections: number
  /** Between an answer and the next question on its connection; default none. */
  readonly pauseMillis?: number
}

/** Asks again and again, on connections that are kept open as a balancer keeps them, until it is stopped. Nothing is tried twice. */
export function startLoad({ origin, query, connections, pauseMillis = 0 }: SteadyLoadOptions): SteadyLoad {
  const agent = new Agent({ keepAlive: true, maxSockets: connections })
  const body = JSON.stringify({ query })
  const failures: Failure[] = []
  let answers = 0
  let isOver = false

  async function askOn(): Promise<void> {
    while (!isOver) {
      const askedAt = performance.now()
      try {
        const answer = await post(origin, agent, body)
        if (!answer.startsWith('200 {"data":')) throw new Error(answer.slice(0, 200))
        answers++
      } catch (error) {
        failures.push({ askedAt, failedAt: performance.now(), why: error instanceof Error ? error.message : '' })
      }
      await delay(pauseMillis)
    }
  }

  const asking = Promise.all(Array.from({ length: connections }, askOn))
  async function stop(): Promise<void> {
    isOver = true
    await asking
    agent.destroy()
  }
  return {
    get answers() {
      return answers
    },
    failures,
    stop,
    [Symbol.asyncDispose]: stop,
  }
}

function post(origin: string, agent: Agent, body: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const headers = { 'content-type': 'application/json', 'content-length': String(Buffer.byteLength(body)) }
    request(`${origin}/graphql`, { method: 'POST', agent, headers }, (response) => {
      text(response).then((answer) => resolve(`${response.statusCode} ${answer}`), reject)
    })
      .once('error', reject)
      .end(body)
  })
}
