import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import pg from 'pg'
import { AppError } from '../src/errors.ts'
import { describeError } from '../src/log.ts'

const SECRET = 'canary-hunter2'

function textOf(error: unknown): string {
  return JSON.stringify(describeError(error))
}

describe('what the log shows of an error', () => {
  it('is message, code and place of a failure that has a code', () => {
    const shown = describeError(new AppError('OBJECT_MISSING', 'No object at s3://states/a'))
    assert.deepEqual(
      [shown['type'], shown['code'], shown['message']],
      ['AppError', 'OBJECT_MISSING', 'No object at s3://states/a'],
    )
  })

  it('is no word of any other failure, nor of its cause', () => {
    const cause = new TypeError(`cannot read ${SECRET}`, { cause: new Error(SECRET) })
    const error = new AppError('STORAGE_UNAVAILABLE', 'Object storage does not answer', { cause })
    assert.doesNotMatch(textOf(error), new RegExp(SECRET))
    assert.doesNotMatch(textOf(cause), new RegExp(SECRET))
    assert.match(textOf(error), /"cause":\{"type":"TypeError"/)
  })

  it('D13: is what a store or the system called it, in the cause', () => {
    const cause = Object.assign(new Error(SECRET), { code: 'AccessDenied', status: 403, path: SECRET })
    const shown = describeError(new AppError('STORAGE_UNAVAILABLE', 'Object storage cannot be used', { cause }))
    const { code, status } = shown['cause'] as Record<string, unknown>
    assert.deepEqual([code, status], ['AccessDenied', 403])
    assert.doesNotMatch(JSON.stringify(shown), new RegExp(SECRET))
  })

  it("is no payload out of PostgreSQL's words", () => {
    const error = new pg.DatabaseError(`invalid input syntax for type json: ${SECRET}`, 200, 'error')
    Object.assign(error, { code: '22P02', detail: SECRET, where: SECRET, hint: SECRET, table: 'state_snapshots' })
    assert.doesNotMatch(textOf(error), new RegExp(SECRET))
    assert.match(textOf(error), /"code":"22P02"/)
    assert.match(textOf(error), /"table":"state_snapshots"/)
  })

  it('is no property that a library hangs on it', () => {
    const error = Object.assign(new Error('failed'), {
      $response: { headers: { authorization: SECRET } },
      config: { secretAccessKey: SECRET },
      url: `http://127.0.0.1/?X-Amz-Signature=${SECRET}`,
      path: `/srv/${SECRET}`,
      code: 'ECONNREFUSED',
    })
    assert.doesNotMatch(textOf(error), new RegExp(SECRET))
    assert.match(textOf(error), /ECONNREFUSED/)
  })

  it('is where in the code it happened, with no path of the host', () => {
    const error = new Error('x')
    error.stack = [
      'Error: x',
      `    at open (file:///srv/${SECRET}/src/storage/file.ts:7:1)`,
      `    at /home/${SECRET}/node_modules/pg/lib/client.js:1:2`,
      `    at async Object.<anonymous> (/opt/${SECRET}/dist/main.js:3:4)`,
      `    at file:///elsewhere/${SECRET}/script.ts:1:1`,
      `    at run (/elsewhere/${SECRET} and more/script.ts:1:1)`,
      '    at process.processTicksAndRejections (node:internal/process/task_queues:104:5)',
    ].join('\n')
    assert.deepEqual(describeError(error)['at'], [
      'at open (src/storage/file.ts:7:1)',
      'at node_modules/pg/lib/client.js:1:2',
      'at async Object.<anonymous> (dist/main.js:3:4)',
      'at script.ts:1:1',
      'at run (script.ts:1:1)',
      'at process.processTicksAndRejections (node:internal/process/task_queues:104:5)',
    ])
  })

  it('is no message that looks like a place', () => {
    assert.doesNotMatch(textOf(new Error(`x\n    at ${SECRET} (a.ts:1:1)`)), new RegExp(SECRET))
  })

  it('is its type when it is no error at all', () => {
    assert.deepEqual(describeError(SECRET), { type: 'string' })
    assert.deepEqual(describeError(undefined), { type: 'undefined' })
  })

  it('ends, also when an error causes itself', () => {
    const error = new Error('x')
    error.cause = new Error('y', { cause: error })
    assert.ok(textOf(error).length < 20_000)
  })

  it('is the same of an error with many causes', () => {
    const error = new AggregateError([new Error(SECRET), new Error(SECRET)], SECRET)
    assert.doesNotMatch(textOf(error), new RegExp(SECRET))
  })
})
