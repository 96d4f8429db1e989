import assert from 'node:assert/strict'
import { it, type TestContext } from 'node:test'
import { describeWith, isUnavailable } from '../support/describe-with.ts'
import { startProcess } from '../support/process.ts'
import { s3, valkey } from '../support/services.ts'
import { temporaryFolder } from '../support/tmp.ts'
import { KINDS } from './load.ts'
import { type OutageReport, type Phase, runOutage } from './outage.ts'
import { ALLOWED, LARGE_BYTES, type Part, startWorld } from './world.ts'

/**
 * `npm run test:outages`: each service in turn says nothing for ten seconds under load, before a server in a process of its own and a
 * real object store. `OUTAGE_SECONDS` and `OUTAGE_PER_SECOND` ask for more.
 */
const FAULT_MILLIS = Number(process.env['OUTAGE_SECONDS'] ?? 10) * 1000
const PER_SECOND = Number(process.env['OUTAGE_PER_SECOND'] ?? 10)
const TIMES = { calmMillis: 5000, faultMillis: FAULT_MILLIS, afterMillis: 8000 }
const RECOVERY_MILLIS = 3000
/** Beside the speed before the fault: what a machine that does other things adds. */
const USUAL_FACTOR = 3

await describeWith('ten seconds without a service', s3, (store) => {
  async function blackhole(part: Part, test: TestContext): Promise<OutageReport> {
    const cache = await valkey()
    if (isUnavailable(cache)) assert.fail(cache.unavailable)
    await using world = await startWorld({ valkey: cache, s3: store })
    await using folder = await temporaryFolder()
    const env = { ...world.env, PORT: '0', DATA_DIR: folder.path, LOG_REQUESTS: 'false' }
    await using server = startProcess({ args: ['serve'], env })
    const url = await server.waitForUrl()
    const load = { url, perSecond: PER_SECOND, largeBytes: LARGE_BYTES }
    const report = await runOutage({ ...TIMES, ...load, proxy: world.proxies[part] })
    const lines = server
      .stdout()
      .split('\n')
      .filter((line) => /"level":(40|50|60)/.test(line)).length
    for (const line of linesOf(report)) test.diagnostic(line)
    test.diagnostic(`${lines} lines of warnings and errors`)
    const told = [...report.failures].filter((outcome) => !ALLOWED[part].test(outcome))
    assert.deepEqual(told, [])
    assert.deepEqual(report.lost, [])
    assert.ok(report.recoveryMillis < RECOVERY_MILLIS, `${report.recoveryMillis} ms`)
    return report
  }

  for (const part of ['PostgreSQL', 'Valkey'] as const) it(part, (test) => blackhole(part, test).then(() => {}))

  it('S3', async (test) => {
    const { kinds } = await blackhole('S3', test)
    for (const kind of ['metadata', 'inline read', 'inline write'] as const) {
      const { before, during } = kinds[kind]
      assert.deepEqual(Object.keys(during.outcomes), ['ok'], kind)
      assert.ok(during.medianMillis < USUAL_FACTOR * before.medianMillis, kind)
    }
  })
})

function linesOf({ kinds, recoveryMillis, acknowledged, lost }: OutageReport): string[] {
  const kindLines = KINDS.map((kind) => {
    const { before, during, after } = kinds[kind]
    return `${kind}: before ${shown(before)} | during ${shown(during)} | after ${shown(after)}`
  })
  return [
    `last failure ${Math.round(recoveryMillis)} ms after the end; ${acknowledged} acknowledged, ${lost.length} lost`,
    ...kindLines,
  ]
}

function shown({ outcomes, medianMillis, slowestMillis }: Phase): string {
  const counts = Object.entries(outcomes).map(([outcome, count]) => `${outcome} ${count}`)
  return `${counts.join(', ')} (median of ok ${medianMillis.toFixed(1)}, slowest ${Math.round(slowestMillis)} ms)`
}
