import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { type CaptureRequest, putTargetOf } from '../../src/client/request.ts'
import { SNAPSHOT_KINDS } from '../../src/model/snapshot.ts'
import { decodePart, readCaptureQuery } from '../../src/server/capture-query.ts'

const text = fc.string({ unit: 'binary', minLength: 1, maxLength: 40 }).filter((id) => id !== '.' && id !== '..')

const requests: fc.Arbitrary<CaptureRequest> = fc.record(
  {
    runId: text,
    stepId: text,
    kind: fc.constantFrom(...SNAPSHOT_KINDS),
    attempt: fc.integer({ min: 1, max: 2_147_483_647 }),
    snapshotId: fc.uuid(),
    isSuccessState: fc.boolean(),
    replaySafe: fc.boolean(),
    redactionPolicy: fc.string({ unit: 'binary' }),
    piiTags: fc.array(text, { minLength: 1, maxLength: 4 }),
  },
  { requiredKeys: ['runId', 'stepId'] },
)

describe('a capture as the target of a PUT', () => {
  it('is read by the server as it was meant', () => {
    fc.assert(
      fc.property(requests, (request) => {
        const target = putTargetOf(request)
        assert.ok(target)
        // What fetch makes of the address.
        const { pathname, search } = new URL(`http://host${target.path}`)
        const [, runId = '', stepId = ''] = /^\/runs\/([^/]+)\/steps\/([^/]+)\/snapshot$/.exec(pathname) ?? []
        const read = { runId: decodePart(runId), stepId: decodePart(stepId), ...readCaptureQuery(search.slice(1)) }
        assert.deepEqual(read, { ...request })
      }),
      { examples: [[{ runId: '...', stepId: '%2e' }]] },
    )
  })

  it('is none where a PUT cannot say it', () => {
    const whole = { runId: 'run', stepId: 'step' }
    assert.ok(putTargetOf({ ...whole, metadata: null, expiresAt: null, idempotencyKey: 'a b' }))
    const unsayable: readonly CaptureRequest[] = [
      { runId: 'run' },
      { runId: 'run', stepId: null },
      { ...whole, metadata: 0 },
      { ...whole, runId: '' },
      // Parsers of URLs take these for ways through folders, escaped or not.
      { ...whole, runId: '..' },
      { ...whole, stepId: '.' },
      { ...whole, runId: '\ud800' },
      { ...whole, redactionPolicy: '\udfff' },
      // Headers lose their outer blanks, and hold ASCII alone.
      { ...whole, idempotencyKey: ' key' },
      { ...whole, idempotencyKey: 'clé' },
      { ...whole, idempotencyKey: '' },
      { ...whole, piiTags: Array(100).fill('x'.repeat(100)) },
    ]
    for (const request of unsayable) assert.equal(putTargetOf(request), undefined, JSON.stringify(request))
  })
})
