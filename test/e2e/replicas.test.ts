import assert from 'node:assert/strict'
import { it } from 'node:test'
import { runReplicas } from './replicas.ts'

it('three replicas: one killed and all restarted under load cost no read but those that were under way', {
  timeout: 400_000,
}, async () => {
  const connections = 6
  const report = await runReplicas({ rounds: 1, connections, pauseMillis: 20, settings: { DRAIN_DELAY_SECONDS: '1' } })
  assert.ok(report.readsLost <= connections, `${report.readsLost} reads`)
  assert.ok(report.reads > 100 && report.keys > 10, JSON.stringify(report))
})
