import assert from 'node:assert/strict'
import { once } from 'node:events'
import { describe, it } from 'node:test'
import { createSingleFlight } from '../../src/cache/single-flight.ts'

/** A load that the test ends by hand. */
function createLoad() {
  const { promise, resolve, reject } = Promise.withResolvers<string>()
  const signals: AbortSignal[] = []
  const load = (signal: AbortSignal) => {
    signals.push(signal)
    return promise
  }
  return { load, resolve, reject, signals }
}

describe('single flight', () => {
  it('loads once for callers of one key at the same time', async () => {
    const flights = createSingleFlight<string>()
    const { load, resolve, signals } = createLoad()
    const callers = Array.from({ length: 200 }, () => flights.run('key', load))
    resolve('value')
    assert.deepEqual(new Set(await Promise.all(callers)), new Set(['value']))
    assert.equal(signals.length, 1)
  })

  it('loads each key by itself', async () => {
    const flights = createSingleFlight<string>()
    const found = await Promise.all(['a', 'b'].map((key) => flights.run(key, async () => key)))
    assert.deepEqual(found, ['a', 'b'])
  })

  it('keeps neither a value nor a failure', async () => {
    const flights = createSingleFlight<string>()
    const failure = new Error('store is down')
    const failing = createLoad()
    const callers = [flights.run('key', failing.load), flights.run('key', failing.load)]
    failing.reject(failure)
    for (const caller of callers) await assert.rejects(caller, failure)
    assert.equal(await flights.run('key', async () => 'second'), 'second')
    assert.equal(await flights.run('key', async () => 'third'), 'third')
  })

  it('hands on what a load throws before it returns', async () => {
    const flights = createSingleFlight<string>()
    const failure = new Error('bad key')
    const load = () => {
      throw failure
    }
    await assert.rejects(flights.run('key', load), failure)
    assert.equal(await flights.run('key', async () => 'value'), 'value')
  })

  it('lets only the caller go whose signal fires', async () => {
    const flights = createSingleFlight<string>()
    const { load, resolve, signals } = createLoad()
    const controller = new AbortController()
    const leaving = flights.run('key', load, controller.signal)
    const staying = flights.run('key', load, new AbortController().signal)
    const reason = new Error('client went away')
    controller.abort(reason)
    await assert.rejects(leaving, reason)
    assert.equal(signals[0]?.aborted, false)
    resolve('value')
    assert.equal(await staying, 'value')
  })

  it('stops the load when all callers have gone', async () => {
    const flights = createSingleFlight<string>()
    const { load, reject, signals } = createLoad()
    const controllers = [new AbortController(), new AbortController()]
    const callers = controllers.map(({ signal }) => flights.run('key', load, signal))
    const [signal] = signals
    assert.ok(signal)
    const stopped = once(signal, 'abort')
    for (const controller of controllers) controller.abort(new Error('client went away'))
    for (const caller of callers) await assert.rejects(caller)
    await stopped
    // Nobody is there to hear this: it must not become an unhandled rejection.
    reject(new Error('stopped'))
  })

  it('starts anew for a caller who comes after all have gone', async () => {
    const flights = createSingleFlight<string>()
    const first = createLoad()
    const second = createLoad()
    const controller = new AbortController()
    const leaving = flights.run('key', first.load, controller.signal)
    controller.abort()
    await assert.rejects(leaving)
    const caller = flights.run('key', second.load)
    first.resolve('of the load that was given up')
    const joining = flights.run('key', second.load)
    second.resolve('value')
    assert.deepEqual(await Promise.all([caller, joining]), ['value', 'value'])
    assert.equal(second.signals.length, 1)
  })

  it('does not fire the signal of a load that has ended', async () => {
    const flights = createSingleFlight<string>()
    const { load, resolve, signals } = createLoad()
    const controller = new AbortController()
    const caller = flights.run('key', load, controller.signal)
    resolve('value')
    await caller
    controller.abort()
    assert.equal(signals[0]?.aborted, false)
  })

  it('starts nothing for a caller who has gone already', async () => {
    const flights = createSingleFlight<string>()
    const { load, signals } = createLoad()
    const reason = new Error('client went away')
    await assert.rejects(flights.run('key', load, AbortSignal.abort(reason)), reason)
    assert.equal(signals.length, 0)
  })
})
