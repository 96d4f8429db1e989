import assert from 'node:assert/strict'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { describe, it } from 'node:test'
import type { RawBackend } from '../../../src/storage/backend.ts'
import { type PartRules, planParts, S3_PART_RULES } from '../../../src/storage/s3/part-plan.ts'
import { createS3Backend, type S3BackendOptions } from '../../../src/storage/s3/s3-backend.ts'
import { startCountingS3 } from './counting-s3.ts'

const KIB = 1024
const MIB = 2 ** 20
const GIB = 2 ** 30
const TIB = 2 ** 40
const URI = { scheme: 's3', bucket: 'bucket', key: 'a' }

describe('D7: the parts of a body', () => {
  it('are at most 10,000, and as large as S3 wants them, for every length up to 5 TiB', () => {
    const { maxParts, partBytes } = S3_PART_RULES
    const flat = maxParts * partBytes
    const grown = planParts(undefined, S3_PART_RULES).maxBytes
    for (const sizeBytes of [1, 5 * MIB, flat, flat + 1, 100 * GIB, grown, grown + 1, TIB, 5 * TIB - 1, 5 * TIB]) {
      const plan = planParts(sizeBytes, S3_PART_RULES)
      let [left, index] = [sizeBytes, 0]
      for (; left > 0; index += 1) {
        const size = Math.min(plan.sizeOf(index), left)
        assert.ok(size === left || size >= 5 * MIB)
        assert.ok(size <= (plan.isHeld ? 32 * MIB : 5 * GIB))
        left -= size
      }
      assert.ok(index <= 10_000, `${sizeBytes}: ${index} parts`)
      assert.equal(plan.isHeld, sizeBytes <= grown)
    }
  })

  it('grow while no length is known, up to 250 GiB, and never beyond what may be held twice', () => {
    const plan = planParts(undefined, S3_PART_RULES)
    const sizes = Array.from({ length: S3_PART_RULES.maxParts }, (_, index) => plan.sizeOf(index))
    assert.equal(
      sizes.reduce((total, size) => total + size, 0),
      plan.maxBytes,
    )
    assert.ok(plan.maxBytes > 250 * GIB)
    assert.deepEqual(
      sizes,
      sizes.toSorted((a, b) => a - b),
    )
    assert.deepEqual([sizes[0], sizes[999]], [5 * MIB, 5 * MIB], 'some stores want all of them alike')
    assert.ok((sizes.at(-1) ?? 0) * 2 <= S3_PART_RULES.heldBytes)
  })
})

/** S3's rules, in KiB for MiB and with a hundredth of the parts. */
const RULES: PartRules = {
  maxParts: 100,
  partBytes: 5 * KIB,
  wholeBytes: 20 * KIB,
  heldBytes: 64 * KIB,
  growth: [
    { parts: 10, partBytes: 5 * KIB },
    { parts: 10, partBytes: 10 * KIB },
    { parts: 10, partBytes: 20 * KIB },
    { parts: 70, partBytes: 32 * KIB },
  ],
}
const MAX_UNKNOWN = (10 * 35 + 70 * 32) * KIB

function connect(endpointUrl: string, options: Partial<S3BackendOptions> = {}): RawBackend & Disposable {
  const connection = { region: 'us-east-1', endpointUrl, accessKey: 'key', secretKey: 'secret' }
  const backend = createS3Backend({ scheme: 's3', bucket: 'bucket', ...connection, ...options })
  return { ...backend, [Symbol.dispose]: () => backend.close() }
}

async function* body(sizeBytes: number, chunkBytes = KIB): AsyncGenerator<Buffer> {
  const chunk = Buffer.alloc(chunkBytes, 'a')
  for (let at = 0; at < sizeBytes; at += chunkBytes) yield chunk.subarray(0, sizeBytes - at)
}

describe('D7: a store that counts parts', () => {
  for (const [name, sizeBytes, announced, largest] of [
    ['10,001 of the smallest, of a length that nobody told', 101 * 5 * KIB, undefined, 32 * KIB],
    ['as many as there can be, of a length that nobody told', MAX_UNKNOWN, undefined, 32 * KIB],
    ['10,000 of the smallest, announced', 100 * 5 * KIB, 100 * 5 * KIB, 5 * KIB],
    ['a byte more, announced', 100 * 5 * KIB + 1, 100 * 5 * KIB + 1, 32 * KIB],
    [
      'more than parts in memory carry, announced',
      MAX_UNKNOWN + 1,
      MAX_UNKNOWN + 1,
      Math.ceil((MAX_UNKNOWN + 1) / 100),
    ],
  ] as const) {
    it(`gets ${name}`, async () => {
      await using store = await startCountingS3({ partMinBytes: 5 * KIB, maxParts: 100 })
      using backend = connect(store.endpoint, { partRules: RULES })
      await backend.put(URI, body(sizeBytes), { sizeBytes: announced })
      const { sizeBytes: stored, parts } = store.objects.get('a') ?? assert.fail()
      assert.deepEqual([stored, Math.max(...parts)], [sizeBytes, largest])
    })
  }

  it('gets nothing of a body that is longer and does not say so, and the sender is told the bound', async () => {
    await using store = await startCountingS3({ partMinBytes: 5 * KIB, maxParts: 100 })
    using backend = connect(store.endpoint, { partRules: RULES })
    await assert.rejects(backend.put(URI, body(MAX_UNKNOWN + 1)), {
      code: 'PAYLOAD_TOO_LARGE',
      message: new RegExp(`\\b${MAX_UNKNOWN} bytes`),
    })
    assert.deepEqual([store.openUploads(), store.objects.size], [0, 0])
  })

  it('and answers none of them is sent no more than may be held, whatever the size of the parts', async () => {
    for (const [answered, sizeBytes] of [
      [0, undefined],
      [25, undefined],
      [50, undefined],
      [50, MAX_UNKNOWN],
    ] as const) {
      await using store = await startCountingS3({ partMinBytes: 5 * KIB, maxParts: 100 })
      using backend = connect(store.endpoint, { partRules: RULES })
      const gone = new AbortController()
      let [taken, isHeld] = [0, false]
      const counted = (async function* () {
        for await (const chunk of body(MAX_UNKNOWN)) {
          if (!isHeld && store.bodies() >= answered) {
            store.hold(new Promise(() => undefined))
            isHeld = true
            taken = 0
          }
          taken += chunk.length
          yield chunk
        }
      })()
      const put = backend.put(URI, counted, { sizeBytes, signal: gone.signal })
      // Until nobody has asked for more in a while.
      for (let before = -1; before !== taken || !isHeld; await new Promise((resolve) => setTimeout(resolve, 100))) {
        before = taken
      }
      assert.ok(taken <= RULES.heldBytes + 2 * KIB, `${taken} bytes after ${answered} parts`)
      gone.abort(new Error('gone'))
      await assert.rejects(put, { message: 'gone' })
    }
  })
})

describe('D7: a body that announces 5 TiB', () => {
  it('takes no more memory by it, and can be given up at any time', async () => {
    const begun = '<InitiateMultipartUploadResult><UploadId>u</UploadId></InitiateMultipartUploadResult>'
    // Bodies are not even read.
    const server = createServer((request, response) => {
      if (request.method === 'POST') response.end(begun)
      else if (request.method === 'DELETE') response.writeHead(204).end()
    })
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    using backend = connect(`http://127.0.0.1:${(server.address() as AddressInfo).port}`, { deadlineMs: 600 })
    let taken = 0
    const counted = (async function* () {
      for await (const chunk of body(GIB, MIB)) {
        taken += chunk.length
        yield chunk
      }
    })()
    await assert.rejects(backend.put(URI, counted, { sizeBytes: 5 * TIB }), { code: 'STORAGE_TIMEOUT' })
    // What is on its way in the system's own buffers included.
    assert.ok(taken < 64 * MIB, `${taken} bytes`)
    server.closeAllConnections()
    server.close()
  })
})
