import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { createLag } from '../../src/db/lag.ts'
import { createWriteMarks } from '../../src/db/write-marks.ts'
import { LAST_POSITION, readPosition } from '../../src/model/position.ts'

const position = (text: string) => readPosition(text) ?? assert.fail(text)

describe('how far a standby is behind', () => {
  it('is the age of the first look that it does not show', () => {
    const lag = createLag()
    assert.equal(lag.seconds(), null)
    const look = (at: number, written: bigint, replayed: bigint) => {
      lag.add(at * 1000, { written, replayed, ageSeconds: 3 })
      return lag.seconds()
    }
    // Nothing tells how old what it shows is but the standby itself.
    assert.equal(look(0, 100n, 50n), 3)
    assert.equal(look(5, 110n, 50n), 5)
    assert.equal(look(6, 120n, 110n), 1)
    assert.equal(look(7, 120n, 120n), 0)
    // Where nothing is written, nothing is lacking, however long ago.
    assert.equal(look(500, 120n, 120n), 0)
    assert.equal(look(501, 130n, 120n), 1)
  })

  it('is known for long though few looks are kept', () => {
    const lag = createLag()
    for (let at = 0; at <= 5000; at++) lag.add(at * 1000, { written: BigInt(at), replayed: 0n, ageSeconds: null })
    assert.equal(lag.seconds(), 5000)
  })
})

describe('what viewers wrote', () => {
  it('counts by its last place', () => {
    const marks = createWriteMarks(10)
    marks.add({ viewer: 'a', position: '1/FF' })
    marks.add({ viewer: 'a', position: '1/2' })
    marks.add({ viewer: 'a', position: 'no place' })
    assert.equal(marks.of('a'), position('1/FF'))
    assert.equal(marks.of('b'), undefined)
    assert.ok(position('1/FF') < position('10/0') && position('10/0') < position(LAST_POSITION))
    for (const text of ['', '1', '1/', '/1', 'g/1', '1/123456789', '0x1/1']) assert.equal(readPosition(text), null)
  })
})
