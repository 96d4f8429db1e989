import type { CountedRead } from '../../test/support/counting-proxy.ts'
import { put, storedOf } from '../../test/support/put.ts'
import { askOnce } from './load.ts'
import { watchMemory } from './payload-setup.ts'
import type { ProbedServer } from './processes.ts'
import { formatNumber } from './report.ts'
import { median } from './statistics.ts'

export const KEY_LOOKS_HEAD = ['keys', 'look', 'MB read', 'reads', 'ms', 'loop held at most, ms', 'MB of memory']

const LOOK = `query($id: ID!, $pointer: JSONPointer!) { snapshotById(snapshotId: $id) {
  at(pointer: $pointer) { type sizeBytes preview raw } } }`
const PLACES = [0.001, 0.2, 0.5, 0.7, 0.95]
const CHUNK_MEMBERS = 1000
/** So that ten million of them have a GiB. */
const VALUE = 'x'.repeat(84)

interface Look {
  readonly bytes: number
  readonly reads: number
  readonly millis: number
  readonly loop: number
  readonly megabytes: number
}

function* objectOf(count: number): Generator<Buffer> {
  for (let first = 0; first < count; first += CHUNK_MEMBERS) {
    const members = Array.from(
      { length: Math.min(CHUNK_MEMBERS, count - first) },
      (_, i) => `"key-${first + i}":"${VALUE}"`,
    )
    yield Buffer.from(`${first === 0 ? '{' : ','}${members.join()}`)
  }
  yield Buffer.from('}')
}

export interface KeyLooksOptions {
  readonly server: ProbedServer
  readonly count: number
  /** Of the store, counted on the way. */
  readonly reads: CountedRead[]
}

/** One object of many keys: the look for which it is read to its end, then others, and looks for what is not there. */
export async function lookForKeys({ server, count, reads }: KeyLooksOptions): Promise<string[][]> {
  const { snapshotId: id } = storedOf(await put(server.origin, objectOf(count), { stepId: `${count} keys` }))

  async function look(key: string, isThere: boolean): Promise<Look> {
    const memory = await watchMemory(server)
    await server.heldLoop()
    reads.length = 0
    const { growth, result } = await memory.during(async () => {
      const began = performance.now()
      const body = JSON.stringify({ query: LOOK, variables: { id, pointer: `/${key}` } })
      let answer = JSON.parse(await askOnce(server.origin, body))
      while (answer.errors?.[0].extensions.code === 'STORAGE_TIMEOUT')
        answer = JSON.parse(await askOnce(server.origin, body))
      const isRight = isThere
        ? answer.data.snapshotById.at.sizeBytes === VALUE.length + 2
        : answer.errors?.[0].extensions.code === 'POINTER_NOT_FOUND'
      if (!isRight) throw new Error(`A look for ${key} gave ${JSON.stringify(answer)}`)
      return performance.now() - began
    })
    const bytes = reads.reduce((sum, read) => sum + read.bytes, 0)
    return { bytes, reads: reads.length, millis: result, loop: (await server.heldLoop()).max, megabytes: growth }
  }

  const keys = PLACES.map((part) => `key-${Math.floor(part * count)}`)
  const first = await look('key-0', true)
  const later: Look[] = []
  const absent: Look[] = []
  for (const key of keys) {
    later.push(await look(key, true))
    absent.push(await look(`${key}-absent`, false))
  }
  const told = formatNumber(count)
  return [
    rowOf([told, 'the first'], [first]),
    rowOf([told, 'any other'], later),
    rowOf([told, 'for what is not there'], absent),
  ]
}

function rowOf(names: readonly string[], looks: readonly Look[]): string[] {
  const of = (pick: (one: Look) => number) => formatNumber(median(looks.map(pick)))
  return [
    ...names,
    of(({ bytes }) => bytes / 1e6),
    of(({ reads }) => reads),
    of(({ millis }) => millis),
    of(({ loop }) => loop),
    of(({ megabytes }) => megabytes),
  ]
}
