import assert from 'node:assert/strict'
import { describe, it, type TestContext } from 'node:test'
import { AppError } from '../src/errors.ts'
import { createFailureLog } from '../src/failure-log.ts'
import { createLogger } from '../src/log.ts'

interface Line {
  readonly level: number
  readonly msg: string
  readonly more?: number
  readonly err: { readonly code?: string }
}

function setUp(t: TestContext) {
  t.mock.timers.enable({ apis: ['setTimeout'] })
  const lines: Line[] = []
  const log = createLogger({ output: { write: (line) => void lines.push(JSON.parse(line)) } })
  const failures = createFailureLog()
  const fail = (error: unknown, times = 1) => {
    for (let time = 0; time < times; time++) failures.tell(log, { error, what: 'request failed' })
  }
  return { lines, failures, fail, passTime: () => t.mock.timers.tick(10_000) }
}

const away = (cause = 'ECONNREFUSED') =>
  new AppError('STORAGE_UNAVAILABLE', 'Object storage cannot be used', {
    cause: Object.assign(new Error('secret'), { code: cause }),
  })

describe('the log of failures', () => {
  it('has one line in ten seconds for an outage, with how many more there were', (t) => {
    const { lines, fail, passTime } = setUp(t)
    fail(away(), 500)
    assert.equal(lines.length, 1)
    passTime()
    fail(away(), 300)
    passTime()
    passTime()
    passTime()
    assert.deepEqual(
      lines.map(({ level, msg, more, err }) => [level, msg, more, err.code]),
      [
        [50, 'request failed', undefined, 'STORAGE_UNAVAILABLE'],
        [50, 'request failed', 499, 'STORAGE_UNAVAILABLE'],
        [50, 'request failed', 300, 'STORAGE_UNAVAILABLE'],
      ],
    )
    fail(away())
    assert.equal(lines.length, 4, 'the next outage is told at once')
  })

  it('tells each cause of its own', (t) => {
    const { lines, fail } = setUp(t)
    for (const cause of ['ECONNREFUSED', 'SlowDown', 'ECONNREFUSED']) fail(away(cause), 10)
    assert.equal(lines.length, 2)
  })

  it('tells each of what nobody foresaw, and of what only who runs the server can mend', (t) => {
    const { lines, fail } = setUp(t)
    fail(new TypeError('unforeseen'), 20)
    fail(new AppError('OBJECT_CORRUPT', 'other bytes'), 20)
    fail(new AppError('STORAGE_UNAVAILABLE', 'wrong keys', { isLasting: true }), 20)
    assert.equal(lines.length, 60)
  })

  it('says at its end what it has not said', (t) => {
    const { lines, fail, failures } = setUp(t)
    fail(away(), 7)
    failures.close()
    assert.deepEqual(
      lines.map(({ more }) => more),
      [undefined, 6],
    )
  })
})
