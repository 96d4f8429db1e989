import assert from 'node:assert/strict'
import { it } from 'node:test'
import { dataOf } from '../support/answers.ts'
import { describeWith } from '../support/describe-with.ts'
import { s3Env } from '../support/objects.ts'
import { eventually } from '../support/put.ts'
import { query } from '../support/rows.ts'
import { startServer } from '../support/server.ts'
import { s3, swift } from '../support/services.ts'
import { sweepOnce } from '../support/store.ts'
import { checkCaptures, checkVerify } from './checks.ts'

for (const [name, service] of [
  ['Ceph', s3],
  ['Swift', swift],
] as const) {
  await describeWith(name, service, (store) => {
    it('takes large states by each way, signs for them, gives them back, and loses what is swept', async () => {
      const env = s3Env(store)
      await using server = await startServer({ env })
      await checkCaptures(server, 12_000_000)
      await checkVerify(server, env)
      await dataOf(server.graphql('mutation { deleteRun(runId: "run") { deleted } }'))
      await sweepOnce({ ...server, s3: store })
      // The server's own sweeper may have taken some of them first.
      await eventually(async () =>
        assert.deepEqual(await query(server.databaseUrl, 'select 1 from statelens_objects'), []),
      )
    })
  })
}
