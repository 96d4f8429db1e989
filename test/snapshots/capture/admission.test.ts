import assert from 'node:assert/strict'
import { once } from 'node:events'
import type { ClientRequest } from 'node:http'
import { after, before, describe, it } from 'node:test'
import { gzipSync } from 'node:zlib'
import { createAdmission } from '../../../src/snapshots/source/admission.ts'
import { eventually, put, refusalOf, startPut, storedOf } from '../../support/put.ts'
import { startServer, type TestServer } from '../../support/server.ts'
import { openStore } from '../../support/store.ts'

const MIB = 1_048_576
const INPUT = { runId: 'run', stepId: 'step' }
const stateOf = (sizeBytes: number) => Buffer.from(`"${'x'.repeat(sizeBytes - 2)}"`)

describe('N1, D4b: senders that send next to nothing', () => {
  const PLACES = 2
  let server: TestServer
  let tricklers: ClientRequest[] = []
  before(async () => {
    server = await startServer({ admission: { uploadStreamsMax: PLACES, maxQueue: 1, queueMillis: 100 } })
  })
  after(async () => {
    for (const trickler of tricklers) trickler.destroy()
    await server[Symbol.asyncDispose]()
  })

  async function trickle(stepId: string, headers: Record<string, string>): Promise<ClientRequest> {
    const sending = startPut(server.url, { stepId, headers: { expect: '100-continue', ...headers } })
    sending.on('error', () => {})
    sending.flushHeaders()
    await once(sending, 'continue')
    sending.write('[')
    return sending
  }

  it('hold no place, and captures by others of any size pass, by PUT and by mutation', async () => {
    const kinds: readonly Record<string, string>[] = [
      { 'content-length': '100000' },
      { 'content-length': '100000000' },
      {},
      { 'content-encoding': 'gzip' },
    ]
    tricklers = await Promise.all(
      Array.from({ length: 12 }, (_, index) => trickle(`slow-${index}`, kinds[index % kinds.length] ?? {})),
    )
    for (const sizeBytes of [2, 300_000, 3 * MIB]) {
      assert.equal(
        storedOf(await put(server.url, stateOf(sizeBytes), { stepId: `fast-${sizeBytes}` })).sizeBytes,
        sizeBytes,
      )
    }
    const { data } = await server.graphql('mutation { captureSnapshot(input: { runId: "m", payload: 1 }) { created } }')
    assert.deepEqual(data, { captureSnapshot: { created: true } })
  })

  it('that have sent enough to go to storage hold one each, until they leave', async () => {
    const holders = await Promise.all([0, 1].map((index) => trickle(`holder-${index}`, {})))
    for (const holder of holders) holder.write(`"${'x'.repeat(2 * MIB)}`)
    const large = () => put(server.url, stateOf(3 * MIB), { stepId: 'large' })
    await eventually(async () => assert.deepEqual(refusalOf(await large()), { status: 503, code: 'OVERLOADED' }))
    assert.equal(storedOf(await put(server.url, '{}', { stepId: 'small' })).storageTier, 'INLINE')
    for (const holder of holders) holder.destroy()
    await eventually(async () => assert.equal(storedOf(await large()).storageTier, 'OBJECT'))
  })
})

describe('N1: what a capture holds in memory', () => {
  it('counts above a quarter of a MiB until it is stored, and by what it may become at most', async () => {
    await using store = await openStore()
    const limits = { maxQueue: 0, queueMillis: 10 }
    const taken: number[] = []
    for (const { body, encoding, sizeBytes } of [
      { body: stateOf(200_000) },
      { body: stateOf(600_000), sizeBytes: 600_000 },
      { body: stateOf(600_000) },
      { body: gzipSync(stateOf(600_000)), encoding: 'gzip' as const },
      { body: stateOf(3 * MIB), sizeBytes: 3 * MIB },
    ]) {
      const admission = createAdmission(limits)
      const writer = store.writer(
        {
          commit: (commit) => {
            taken.push(admission.memory.taken(), admission.uploads.taken())
            return commit()
          },
        },
        { admission, inlineMaxBytes: MIB },
      )
      await writer.capture(INPUT, { chunks: chunksOf(body), sizeBytes, encoding })
      assert.deepEqual([admission.memory.taken(), admission.uploads.taken()], [0, 0])
    }
    assert.deepEqual(taken, [0, 0, 600_000, 0, MIB, 0, MIB, 0, 0, 0])
  })

  it('is refused where others hold all of it, and given back on every way out', async () => {
    await using store = await openStore()
    const admission = createAdmission({ memoryMaxBytes: MIB, uploadStreamsMax: 1, maxQueue: 0, queueMillis: 10 })
    const writer = store.writer({}, { admission, inlineMaxBytes: MIB })
    const capture = (body: Buffer) => writer.capture({ runId: 'run' }, { chunks: chunksOf(body) })
    const leaves = [await admission.memory.enter(undefined, MIB), await admission.uploads.enter()]
    await assert.rejects(capture(stateOf(600_000)), { code: 'OVERLOADED' })
    assert.equal((await capture(stateOf(200_000))).created, true)
    leaves[0]?.()
    await assert.rejects(capture(stateOf(3 * MIB)), { code: 'OVERLOADED' })
    assert.deepEqual((await store.uris()).declared, [])
    leaves[1]?.()
    await assert.rejects(capture(Buffer.concat([stateOf(600_000), Buffer.from('x')])), { code: 'INVALID_PAYLOAD' })
    await assert.rejects(capture(Buffer.concat([stateOf(3 * MIB), Buffer.from('x')])), { code: 'INVALID_PAYLOAD' })
    assert.deepEqual([admission.memory.taken(), admission.uploads.taken()], [0, 0])
    assert.equal((await capture(stateOf(3 * MIB))).created, true)
  })
})

async function* chunksOf(body: Buffer): AsyncGenerator<Buffer> {
  for (let at = 0; at < body.length; at += 65_536) yield body.subarray(at, at + 65_536)
}
