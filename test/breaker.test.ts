import assert from 'node:assert/strict'
import { describe, it, type TestContext } from 'node:test'
import { createBreaker } from '../src/breaker.ts'

/** A breaker whose server answers probes with `state.up`, on a clock that the test moves. */
function setUp(t: TestContext) {
  t.mock.timers.enable({ apis: ['setTimeout'] })
  const state = { up: false, probes: 0 }
  const probe = async () => {
    state.probes += 1
    return state.up
  }
  const breaker = createBreaker({ threshold: 3, probeIntervalMs: 100, probe })
  const passProbe = async () => {
    t.mock.timers.tick(100)
    await new Promise(setImmediate)
  }
  return { breaker, state, passProbe }
}

describe('the breaker', () => {
  it('opens after failures in a row, not after scattered ones', (t) => {
    const { breaker } = setUp(t)
    breaker.failed()
    breaker.failed()
    breaker.succeeded()
    breaker.failed()
    breaker.failed()
    assert.equal(breaker.isOpen(), false)
    breaker.failed()
    assert.equal(breaker.isOpen(), true)
    breaker.close()
  })

  it('probes until the server answers, then closes', async (t) => {
    const { breaker, state, passProbe } = setUp(t)
    for (let i = 0; i < 10; i++) breaker.failed()
    await passProbe()
    await passProbe()
    assert.deepEqual([breaker.isOpen(), state.probes], [true, 2])
    state.up = true
    await passProbe()
    await passProbe()
    assert.deepEqual([breaker.isOpen(), state.probes], [false, 3])
  })

  it('opens and probes again after it has closed', async (t) => {
    const { breaker, state, passProbe } = setUp(t)
    for (let i = 0; i < 3; i++) breaker.failed()
    state.up = true
    await passProbe()
    for (let i = 0; i < 3; i++) breaker.failed()
    assert.equal(breaker.isOpen(), true)
    await passProbe()
    assert.deepEqual([breaker.isOpen(), state.probes], [false, 2])
  })

  it('probes no more when it was closed for good', async (t) => {
    const { breaker, state, passProbe } = setUp(t)
    for (let i = 0; i < 3; i++) breaker.failed()
    breaker.close()
    await passProbe()
    assert.equal(state.probes, 0)
  })
})
