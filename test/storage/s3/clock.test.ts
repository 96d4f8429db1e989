import assert from 'node:assert/strict'
import { it } from 'node:test'
import { createS3Backend } from '../../../src/storage/s3/s3-backend.ts'
import { answer, failure, type Step, startScriptedS3 } from './scripted-s3.ts'

const URI = { scheme: 's3', bucket: 'bucket', key: 'key' }
const HOUR_MS = 3_600_000

it('G13: a clock that is an hour wrong is corrected by what the store says, and no secret is told meanwhile', async () => {
  const storeNow = new Date(Date.now() + HOUR_MS)
  const skewed: Step = (response, request) => {
    response.setHeader('date', storeNow.toUTCString())
    failure(403, 'RequestTimeTooSkewed')(response, request)
  }
  const store = await startScriptedS3(skewed, skewed, answer(200, '', { etag: '"e"' }))
  const connection = { region: 'x', endpointUrl: store.endpoint, accessKey: 'key', secretKey: 'verysecret' }
  const backend = createS3Backend({ scheme: 's3', bucket: 'bucket', ...connection })
  try {
    // The first answer teaches the time; whoever is not asked again by then is told to try again.
    for (let attempt = 0; attempt < 3; attempt++) {
      const failed = await backend.get(URI).then(
        ({ body }) => void body.destroy(),
        (error: unknown) => error,
      )
      if (failed === undefined) break
      assert.equal((failed as { code: string }).code, 'STORAGE_UNAVAILABLE')
      assert.doesNotMatch(JSON.stringify(failed) + String((failed as Error).cause), /verysecret/)
    }
    const last = store.requests.at(-1)?.headers['x-amz-date']
    const signedAt = String(last).replace(/^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/, '$1-$2-$3T$4:$5:$6Z')
    assert.ok(Math.abs(Date.parse(signedAt) - storeNow.getTime()) < HOUR_MS / 10, String(last))
  } finally {
    backend.close()
    await store.close()
  }
})
