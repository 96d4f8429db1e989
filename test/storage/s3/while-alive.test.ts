import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { createS3Clients } from '../../../src/storage/s3/client.ts'
import { createWhileAlive, type WhileAlive } from '../../../src/storage/s3/while-alive.ts'
import { answer, hang, type ScriptedS3, type Step, startScriptedS3 } from './scripted-s3.ts'

const never = new Promise<never>(() => undefined)

async function withStore(
  step: Step,
  run: (whileAlive: WhileAlive, server: ScriptedS3) => Promise<void>,
): Promise<void> {
  const server = await startScriptedS3(step)
  const clients = createS3Clients({ region: 'x', endpointUrl: server.endpoint, accessKey: 'key', secretKey: 'secret' })
  try {
    await run(createWhileAlive({ ...clients, bucket: 'bucket', deadlineMs: 3000 }), server)
  } finally {
    clients.close()
    await server.close()
  }
}

describe('a request that takes its time', () => {
  it('ends when the store does not answer anything, once for all that wait', async () => {
    await withStore(hang, async (whileAlive, server) => {
      const waiting = Array.from({ length: 5 }, () => whileAlive({ totalMs: 60_000 }, () => never))
      const results = await Promise.allSettled(waiting)
      assert.ok(results.every((one) => one.status === 'rejected' && one.reason.code === 'STORAGE_TIMEOUT'))
      assert.equal(server.requests.length, 1)
    })
  })

  it('goes on while the store answers at all, up to its time', async () => {
    const lasting = [200, 403, 404].map((status) =>
      withStore(answer(status), async (whileAlive) => {
        assert.equal(await whileAlive({ totalMs: 60_000 }, () => delay(2200, 'done')), 'done')
      }),
    )
    await Promise.all(lasting)
    await withStore(answer(200), async (whileAlive) => {
      await assert.rejects(
        whileAlive({ totalMs: 1200 }, () => never),
        { code: 'STORAGE_TIMEOUT' },
      )
    })
  })

  it('is not asked about while it moves, nor while the store waits for us', async () => {
    await withStore(hang, async (whileAlive, server) => {
      await whileAlive({ totalMs: 60_000 }, async ({ onTaken }) => {
        for (let count = 0; count < 50; count += 1) await delay(40).then(onTaken)
      })
      await whileAlive({ totalMs: 100 }, async (_, patience) => {
        patience.rest()
        await delay(2000)
        patience.wait()
      })
      assert.equal(server.requests.length, 0)
    })
  })

  it('is given up with its caller, and says so to what runs', async () => {
    await withStore(answer(200), async (whileAlive) => {
      const caller = new AbortController()
      const reason = new Error('gone')
      let inner: AbortSignal | undefined
      const waiting = whileAlive({ totalMs: 60_000, signal: caller.signal }, ({ abortSignal }) => {
        inner = abortSignal
        return never
      })
      caller.abort(reason)
      await assert.rejects(waiting, reason)
      assert.equal(inner?.reason, reason)
    })
  })
})
