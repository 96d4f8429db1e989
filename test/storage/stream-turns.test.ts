import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { buffer } from 'node:stream/consumers'
import { describe, it } from 'node:test'
import { createFileBackend } from '../../src/storage/file/file-backend.ts'
import { resuming } from '../../src/storage/resume.ts'
import { createS3Backend } from '../../src/storage/s3/s3-backend.ts'
import { takeTurn } from '../../src/storage/stream-turns.ts'
import { temporaryFolder } from '../support/tmp.ts'
import { startScriptedS3 } from './s3/scripted-s3.ts'

const TURN_BYTES = 524_288

/** Counts turns of the event loop for as long as something is under way. */
async function turnsOf<T>(work: Promise<T>): Promise<{ readonly result: T; readonly turns: number }> {
  let turns = 0
  let isOver = false
  const count = () => {
    turns++
    if (!isOver) setImmediate(count)
  }
  setImmediate(count)
  const result = await work.finally(() => {
    isOver = true
  })
  return { result, turns }
}

/** Waits until no stream has to wait. */
const idle = () => new Promise<void>((resolve) => void takeTurn(0, resolve))

/** Has whoever comes next wait for so many turns. */
function fill(turns: number): void {
  for (let i = 0; i <= turns; i++) takeTurn(TURN_BYTES, () => {})
}

describe('streams that are ready at once', () => {
  it('hand on a piece in each turn of the event loop, in the order in which they came', async () => {
    await idle()
    const handedOn: number[] = []
    const work = new Promise<void>((resolve) => {
      for (let i = 0; i < 20; i++) {
        takeTurn(TURN_BYTES, () => {
          handedOn.push(i)
          if (handedOn.length === 20) resolve()
        })
      }
      assert.deepEqual(handedOn, [0], 'the first need not wait')
    })
    const { turns } = await turnsOf(work)
    assert.deepEqual(handedOn, [...Array(20).keys()])
    assert.ok(turns >= 18, `${turns} turns`)
  })

  it('hand on many small pieces in one', async () => {
    await idle()
    let handedOn = 0
    for (let i = 0; i < 64; i++) assert.ok(takeTurn(TURN_BYTES / 64, () => handedOn++))
    assert.equal(handedOn, 64)
  })

  it('give every other work its turn, and every byte', async () => {
    await using folder = await temporaryFolder()
    const bytes = randomBytes(8 * TURN_BYTES + 7)
    await writeFile(join(folder.path, 'state'), bytes)
    const backend = resuming(createFileBackend({ root: folder.path }))
    const read = async () => await buffer((await backend.get({ scheme: 'file', bucket: '', key: 'state' })).body)
    const { result, turns } = await turnsOf(Promise.all(Array.from({ length: 16 }, read)))
    for (const one of result) assert.ok(one.equals(bytes))
    assert.ok(turns >= 16 * 8, `${turns} turns for ${16 * 9} pieces`)
  })

  it('are let go of while they wait, and the others go on', async () => {
    await using folder = await temporaryFolder()
    await writeFile(join(folder.path, 'state'), 'bytes')
    const backend = resuming(createFileBackend({ root: folder.path }))
    const uri = { scheme: 'file', bucket: '', key: 'state' } as const
    const [left, stays] = await Promise.all([backend.get(uri), backend.get(uri)])
    fill(50)
    left.body.resume()
    const read = buffer(stays.body)
    setImmediate(() => left.body.destroy())
    assert.equal(String(await read), 'bytes')
    await idle()
    assert.equal(left.body.readableDidRead && left.body.readableEnded, false)
  })

  it('go on from the byte after the last one that was handed on, where the connection breaks while they wait', async () => {
    const headers = { etag: '"1"', 'content-length': 10 }
    const server = await startScriptedS3(
      (response) => {
        response.writeHead(200, headers)
        response.write('01234', () => response.socket?.resetAndDestroy())
        fill(5000)
      },
      (response, { headers: asked }) => {
        const [, from] = /^bytes=(\d+)-9$/.exec(asked.range ?? '') ?? []
        const rest = '0123456789'.slice(Number(from))
        response.writeHead(206, {
          etag: '"1"',
          'content-length': rest.length,
          'content-range': `bytes ${from}-9/10`,
        })
        response.end(rest)
      },
    )
    const connection = { region: 'us-east-1', endpointUrl: server.endpoint, accessKey: 'key', secretKey: 'secret' }
    const backend = resuming(createS3Backend({ scheme: 's3', bucket: 'bucket', ...connection }), { pauseMs: 1 })
    try {
      const { body } = await backend.get({ scheme: 's3', bucket: 'bucket', key: 'a' })
      assert.equal(String(await buffer(body)), '0123456789')
      assert.equal(server.requests.length, 2)
    } finally {
      backend.close()
      await server.close()
    }
  })
})
