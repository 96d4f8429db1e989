import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { storageTierOf } from '../../src/model/snapshot.ts'
import { LAST_STEP_INDEX, type Step, stepPosition } from '../../src/model/step.ts'

const STEP: Step = {
  runId: 'r',
  stepId: 's',
  index: null,
  name: null,
  kind: null,
  status: 'UNKNOWN',
  attempt: 1,
  startedAt: null,
  endedAt: null,
  error: null,
  ordinal: '9007199254740993',
}

describe('the place of a step', () => {
  it('is its index, then the order of creation', () => {
    assert.deepEqual(stepPosition({ ...STEP, index: 0 }), ['0', '9007199254740993'])
  })

  it('is behind all others when it has no index', () => {
    assert.deepEqual(stepPosition(STEP), [String(LAST_STEP_INDEX), '9007199254740993'])
    assert.equal(LAST_STEP_INDEX, 2 ** 31 - 1)
  })
})

describe('the tier of a payload', () => {
  it('is told by the URI alone', () => {
    assert.equal(storageTierOf({ storageUri: null }), 'INLINE')
    assert.equal(storageTierOf({ storageUri: 'gs://elsewhere/key' }), 'OBJECT')
  })
})
