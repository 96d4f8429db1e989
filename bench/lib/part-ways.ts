import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { text } from 'node:stream/consumers'
import { setTimeout as delay } from 'node:timers/promises'
import type { CountedRead } from '../../test/support/counting-proxy.ts'
import { withClient } from './database.ts'
import { askOnce } from './load.ts'
import { watchMemory } from './payload-setup.ts'
import { memoryOf, type ProbedServer } from './processes.ts'

/** One way to one place of a state, and what it took. */
export interface PartWay {
  readonly name: string
  /** @param index of the message that is wanted. */
  take(index: number): Promise<Taken>
}

export interface Taken {
  readonly millis: number
  /** From where the state lies. */
  readonly bytes: number
  /** Reads of it. */
  readonly reads: number
  /** Megabytes that the process that does it grows by; all that it has where it is one of its own. */
  readonly megabytes: number
  /** The source text of the message. */
  readonly found: string
}

export interface Subject {
  readonly server: ProbedServer
  readonly snapshotId: string
  readonly sizeBytes: number
  /** Of the store, counted on the way. */
  readonly reads: CountedRead[]
}

/** The server itself: the place, what is around it, and its value. */
export function byServer({ server, snapshotId, reads }: Subject): PartWay {
  const query = `query($id: ID!, $pointer: JSONPointer!, $skip: Int!) { snapshotById(snapshotId: $id) {
    at(pointer: $pointer) { type sizeBytes childCount preview raw }
    list: at(pointer: "/messages") { childCount children(first: 20, skip: $skip) { nodes { index type sizeBytes preview } } } } }`
  return {
    name: '`at`, and the page of `children` there',
    async take(index) {
      const memory = await watchMemory(server)
      const variables = { id: snapshotId, pointer: `/messages/${index}`, skip: index }
      reads.length = 0
      const { growth, result } = await memory.during(async () => {
        const began = performance.now()
        const answer = await askOnce(server.origin, JSON.stringify({ query, variables }))
        return { answer, millis: performance.now() - began }
      })
      const { data } = JSON.parse(result.answer)
      const bytes = reads.reduce((sum, read) => sum + read.bytes, 0)
      const found = data.snapshotById.at.raw
      return { millis: result.millis, bytes, reads: reads.length, megabytes: growth, found }
    },
  }
}

/** The payload route, and `JSON.parse` of all of it in a process of its own. */
export function byParsing({ server, snapshotId, sizeBytes }: Subject): PartWay {
  const url = `${server.origin}/snapshots/${snapshotId}/payload`
  return {
    name: 'download and `JSON.parse`',
    take: (index) => byProcess([process.execPath, `${import.meta.dirname}/walk.ts`, url, String(index)], sizeBytes),
  }
}

/** The payload route, and jq, which reads as a stream. */
export function byJq({ server, snapshotId, sizeBytes }: Subject): PartWay {
  const url = `${server.origin}/snapshots/${snapshotId}/payload`
  const program = (index: number) =>
    `fromstream(2 | truncate_stream(inputs | select(.[0][0] == "messages" and .[0][1] == ${index})))`
  return {
    name: 'download and `jq --stream`',
    take: (index) =>
      byProcess(['sh', '-c', 'curl -s "$1" | jq -cn --stream "$2"', 'sh', url, program(index)], sizeBytes),
  }
}

/** A column of PostgreSQL. */
export function byJsonb(databaseUrl: string, sizeBytes: number): PartWay {
  return {
    name: 'PostgreSQL `jsonb #>`',
    take: (index) =>
      withClient(databaseUrl, async (client) => {
        const { rows: backends } = await client.query<{ pid: number }>('select pg_backend_pid() as pid')
        const pid = backends[0]?.pid ?? 0
        const memory = await watchMemory({ pid })
        const { growth, result } = await memory.during(async () => {
          const began = performance.now()
          const { rows } = await client.query<{ found: string }>(
            'select (state #> $1)::text as found from bench_states',
            [['messages', String(index)]],
          )
          return { found: rows[0]?.found ?? '', millis: performance.now() - began }
        })
        return { millis: result.millis, bytes: sizeBytes, reads: 1, megabytes: growth, found: result.found }
      }),
  }
}

/** A process and all below it, that prints what it found. */
async function byProcess([command = '', ...args]: readonly string[], bytes: number): Promise<Taken> {
  const began = performance.now()
  const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'inherit'] })
  const watching = watchPeak(child.pid ?? 0)
  const [found, [code]] = await Promise.all([text(child.stdout), once(child, 'exit')])
  const millis = performance.now() - began
  if (code !== 0) throw new Error(`${command} ended with ${code}`)
  return { millis, bytes, reads: 1, megabytes: await watching, found: found.trim() }
}

/** The most that a process had, or one of those that it started, whichever has more. */
async function watchPeak(pid: number): Promise<number> {
  let most = 0
  for (;;) {
    const peaks = await Promise.all(
      [pid, ...(await childrenOf(pid))].map((one) => memoryOf(one).catch(() => undefined)),
    )
    if (peaks[0] === undefined || Number.isNaN(peaks[0].peak)) return most
    most = Math.max(most, ...peaks.map((memory) => memory?.peak || 0))
    await delay(20)
  }
}

async function childrenOf(pid: number): Promise<number[]> {
  const list = await readFile(`/proc/${pid}/task/${pid}/children`, 'utf8').catch(() => '')
  return list.split(' ').filter(Boolean).map(Number)
}
