import assert from 'node:assert/strict'
import { after, describe, it } from 'node:test'
import { S3Client } from '@aws-sdk/client-s3'
import { createS3Backend } from '../../../src/storage/s3/s3-backend.ts'
import { createS3Sign } from '../../../src/storage/s3/sign.ts'
import { answer, startScriptedS3 } from './scripted-s3.ts'

const URI = { scheme: 's3', bucket: 'states', key: 'a/b c.json' }
const HOUR = { expiresInSeconds: 3600 }

/** Seconds until the end, or none. */
type Lives = readonly (number | undefined)[]

/** Signs with temporary credentials that have so long left: the next ones each time the SDK asks anew, then the last for good. */
function signWith(...lives: Lives) {
  const expirations = lives.map((life) => (life === undefined ? undefined : new Date(Date.now() + life * 1000)))
  let asked = 0
  const signing = new S3Client({
    region: 'eu-central-1',
    credentials: async () => {
      const expiration = expirations[Math.min(asked, expirations.length - 1)]
      asked += 1
      return { accessKeyId: `KEY${asked}`, secretAccessKey: 'secret', sessionToken: `token${asked}`, expiration }
    },
  })
  after(() => signing.destroy())
  return { sign: createS3Sign({ signing }), expirations, asked: () => asked }
}

function lifeOf(url: string): { readonly seconds: number; readonly endsAt: number } {
  const { searchParams } = new URL(url)
  const seconds = Number(searchParams.get('X-Amz-Expires'))
  const [, ...parts] = /^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/.exec(searchParams.get('X-Amz-Date') ?? '') ?? []
  const [year = 0, month = 1, ...rest] = parts.map(Number)
  return { seconds, endsAt: Date.UTC(year, month - 1, ...rest) + seconds * 1000 }
}

describe('a URL signed with temporary credentials', () => {
  it('ends when it says, and before they do: a minute, or half of what they have left when that is less', async () => {
    for (const [left, least, most] of [
      [7200, 3600, 3600],
      [600, 535, 540],
      [120, 55, 60],
      [60, 25, 30],
      [10, 3, 5],
    ] as const) {
      const { sign, expirations } = signWith(left)
      const { url, expiresAt } = await sign(URI, HOUR)
      const { seconds, endsAt } = lifeOf(url)
      assert.ok(seconds >= least && seconds <= most, `${left}: ${seconds}`)
      assert.equal(expiresAt.getTime(), endsAt)
      assert.ok(endsAt < (expirations[0]?.getTime() ?? 0))
    }
  })

  it('lives as long as it was asked to when that is less', async () => {
    const { sign } = signWith(120)
    assert.equal(lifeOf((await sign(URI, { expiresInSeconds: 20 })).url).seconds, 20)
  })

  it('is not made with those that are over, nor with those whose end cannot be read', async () => {
    for (const left of [0, -1, -3600, Number.NaN]) {
      await assert.rejects(signWith(left).sign(URI, HOUR), { code: 'STORAGE_UNAVAILABLE' }, String(left))
    }
  })

  it('is made with the next ones where the SDK can have them, and lives as long as those allow', async () => {
    const { sign, asked } = signWith(30, 7200)
    const { url } = await sign(URI, HOUR)
    const { searchParams } = new URL(url)
    assert.equal(searchParams.get('X-Amz-Security-Token'), 'token2')
    assert.equal(lifeOf(url).seconds, 3600)
    await sign(URI, HOUR)
    assert.equal(asked(), 2)
  })

  it('is not shortened for credentials without an end', async () => {
    assert.equal(lifeOf((await signWith(undefined).sign(URI, { expiresInSeconds: 604_800 })).url).seconds, 604_800)
  })
})

describe("S3: a URL of a machine whose clock differs from the store's", () => {
  for (const minutes of [20, -20]) {
    it(`is signed by the store's clock, which any answer tells (${minutes} minutes)`, async () => {
      const date = new Date(Date.now() + minutes * 60_000)
      const server = await startScriptedS3(answer(200, '', { date: date.toUTCString(), etag: '"1"' }))
      after(() => server.close())
      const connection = { region: 'x', endpointUrl: server.endpoint, accessKey: 'key', secretKey: 'secret' }
      const backend = createS3Backend({ scheme: 's3', bucket: 'states', ...connection })
      after(() => backend.close())
      await backend.stat(URI)
      const request = { sizeBytes: 1, sha256: Buffer.alloc(32), contentType: 'a/b', expiresInSeconds: 3600 }
      const signed = [
        await backend.getSignedUrl?.(URI, HOUR),
        (await backend.directUploads?.sign(URI, request))?.parts[0],
      ]
      for (const one of signed) {
        const { endsAt } = lifeOf(one?.url ?? assert.fail())
        assert.ok(Math.abs(endsAt - date.getTime() - 3600_000) < 30_000)
      }
    })
  }
})
