import assert from 'node:assert/strict'
import { it } from 'node:test'
import { createLogger } from '../../src/log.ts'
import { describeWith } from '../support/describe-with.ts'
import { startMemoryS3 } from '../support/memory-s3.ts'
import { startServer } from '../support/server.ts'
import { valkey } from '../support/services.ts'
import { KINDS } from './load.ts'
import { runOutage } from './outage.ts'
import { ALLOWED, LARGE_BYTES, type Part, startWorld } from './world.ts'

/** As `npm run test:outages`, in little time: there the store is a real one, and the load another. */
const TIMES = { calmMillis: 800, faultMillis: 2500, afterMillis: 4000 }
const RECOVERY_MILLIS = 3000
const NEED_NO_STORE = ['metadata', 'inline read', 'inline write'] as const

await describeWith('a service that says nothing for a while', valkey, (cache) => {
  async function blackhole(part: Part) {
    await using s3 = await startMemoryS3()
    await using world = await startWorld({ valkey: cache, s3: s3.service })
    const lines: string[] = []
    const log = createLogger({ level: 'warn', output: { write: (line) => void lines.push(line) } })
    await using server = await startServer({
      env: world.env,
      store: { databaseUrl: world.databaseUrl, storagePath: '/nowhere' },
      log,
    })
    const load = { url: server.url, perSecond: 4, largeBytes: LARGE_BYTES }
    const report = await runOutage({ ...TIMES, ...load, proxy: world.proxies[part] })
    const told = [...report.failures].filter((outcome) => !ALLOWED[part].test(outcome))
    assert.deepEqual(told, [], JSON.stringify(report.kinds))
    assert.deepEqual(report.lost, [], 'what was acknowledged is there')
    assert.ok(report.acknowledged > 20)
    assert.ok(report.recoveryMillis < RECOVERY_MILLIS, `failures ${report.recoveryMillis} ms after the end`)
    for (const kind of KINDS) {
      const { before, during, after } = report.kinds[kind]
      assert.ok(before.outcomes['ok'] && during.calls && after.outcomes['ok'], kind)
    }
    return { report, lines }
  }

  it('L9, E3: PostgreSQL: failures have a code, nothing acknowledged is lost, and all is well soon after', async () => {
    const { report, lines } = await blackhole('PostgreSQL')
    assert.ok(report.failures.size > 0)
    assert.ok(lines.length < 20, `${lines.length} lines`)
  })

  it('L9, F-2: Valkey: nobody is told', async () => {
    await blackhole('Valkey')
  })

  it('L9, G1, G5: S3: what needs no store goes on as ever', async () => {
    const { report, lines } = await blackhole('S3')
    assert.ok(report.failures.size > 0)
    for (const kind of NEED_NO_STORE) assert.deepEqual(Object.keys(report.kinds[kind].during.outcomes), ['ok'], kind)
    assert.ok(lines.length < 20, `${lines.length} lines`)
  })
})
