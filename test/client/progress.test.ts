import assert from 'node:assert/strict'
import { it } from 'node:test'
import { type CaptureProgress, createProgressMeter } from '../../src/client/progress.ts'

it('progress counts ranges together, and what is sent again only beyond what was told', () => {
  const told: CaptureProgress[] = []
  const meter = createProgressMeter(100, (progress) => told.push(progress))
  const [first, second] = [meter.begin(0), meter.begin(50)]
  first(30)
  second(20)
  // The first range begins once more.
  const again = meter.begin(0)
  again(30)
  again(10)
  // Everything begins once more, by another way.
  const whole = meter.begin('all')
  whole(55)
  whole(10)
  whole(35)
  meter.finish(100)
  const sent = [30, 50, 60, 65, 100]
  assert.deepEqual(
    told,
    sent.map((sentBytes) => ({ sentBytes, totalBytes: 100 })),
  )
})
