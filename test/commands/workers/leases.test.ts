import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { createLeases } from '../../../src/commands/workers/leases.ts'
import { createLedger } from '../../../src/commands/workers/ledger.ts'
import { readConfig } from '../../../src/config.ts'

/** A worker with an account of a ledger. */
function worker(ledger: ReturnType<typeof createLedger>) {
  const account = ledger.open()
  let asked = 0
  const budget = createLeases({
    async take(key) {
      asked++
      return account.takePoints(key)
    },
    charge: account.chargePoints,
  })
  return { budget, account, asked: () => asked }
}

describe('points of one server', () => {
  const ledgerOf = (env: Record<string, string>) => createLedger(readConfig({ WORKERS: '2', ...env }))

  it('are never more than there are, whichever workers take them', async () => {
    const ledger = ledgerOf({ RATE_LIMIT_PER_MINUTE: '1000' })
    const workers = [worker(ledger), worker(ledger)]
    const began = performance.now()
    let taken = 0
    for (let i = 0; i < 1500; i++) {
      for (const { budget } of workers) if ((await budget.take('viewer')) === 0) taken++
    }
    // Meanwhile some came back.
    const most = 1000 + Math.ceil(((performance.now() - began) / 60_000) * 1000)
    assert.ok(taken >= 995 && taken <= most, `${taken} of ${most}`)
    // Few had to be asked for, and those that are refused are not asked for again.
    for (const { asked } of workers) assert.ok(asked() < 300, String(asked()))
    assert.equal(await workers[0]?.budget.take('other'), 0)
  })

  it('are one pot for answers and requests', async () => {
    const ledger = ledgerOf({ RATE_LIMIT_PER_MINUTE: '10' })
    const [one, two] = [worker(ledger), worker(ledger)]
    assert.equal(await one.budget.take('viewer'), 0)
    one.budget.charge('viewer', 20)
    const waitSeconds = await two.budget.take('viewer')
    assert.ok(waitSeconds > 60 && waitSeconds < 80, String(waitSeconds))
  })
})

describe('places of one server', () => {
  it('are given back by a worker that dies', () => {
    const ledger = createLedger(readConfig({ WORKERS: '2', EVENT_STREAMS_PER_VIEWER_MAX: '2' }))
    const [one, two] = [ledger.open(), ledger.open()]
    one.enter('viewer')
    one.enter('viewer')
    assert.throws(() => two.enter('viewer'), { code: 'OVERLOADED' })
    two.enter('other')
    one.leave('viewer')
    two.enter('viewer')
    assert.throws(() => two.enter('viewer'), { code: 'OVERLOADED' })
    one.close()
    two.enter('viewer')
  })
})
