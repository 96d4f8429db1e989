import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { observeStatements } from '../../src/db/observe-statements.ts'
import { SILENT } from '../../src/telemetry/telemetry.ts'

interface Told {
  readonly verb: string
  readonly isFailed: boolean
}

describe('what is told of statements', () => {
  const told: Told[] = []
  const summaries: string[] = []
  const span = { traceId: undefined, set() {}, within: <T>(work: () => T) => work(), end() {} }
  const observer = observeStatements({
    ...SILENT,
    statement: (verb) => (_seconds, isFailed) => void told.push({ verb, isFailed }),
    spans: {
      apart: (work) => work(),
      start(name) {
        summaries.push(name)
        return span
      },
    },
  })

  it('is the verb that does the work, and the table of ours that it is done to', () => {
    for (const text of [
      'select s.id from state_snapshots s where s.run_id = $1',
      '(select 1 from "statelens_runs") union all select 2',
      'with gone as (delete from statelens_objects where x returning 1) select count(*) from gone',
      'with known as (select 1) select * from known',
      'insert into "statelens_uploads" values ($1)',
      'update statelens_runs set status = $1',
      'begin',
      'set transaction read only',
      'vacuum',
    ]) {
      observer.begin(text)()
    }
    assert.deepEqual(
      told.map(({ verb }) => verb),
      ['SELECT', 'SELECT', 'DELETE', 'SELECT', 'INSERT', 'UPDATE', 'BEGIN', 'OTHER', 'OTHER'],
    )
    assert.deepEqual(summaries, [
      'SELECT state_snapshots',
      'SELECT statelens_runs',
      'DELETE statelens_objects',
      'SELECT',
      'INSERT statelens_uploads',
      'UPDATE statelens_runs',
      'BEGIN',
      'OTHER',
      'OTHER',
    ])
  })

  it('is whether they failed, whoever executed them', () => {
    told.length = 0
    observer.begin('select 1')(new Error('no'))
    observer.past('select 1', 3)
    observer.past('select 1', 3, new Error('no'))
    assert.deepEqual(
      told.map(({ isFailed }) => isFailed),
      [true, false, true],
    )
  })
})
