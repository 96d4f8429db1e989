import assert from 'node:assert/strict'
import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import { it } from 'node:test'
import { keptByKernel, takenByKernel } from '../../src/server/connection.ts'
import { eventually } from '../support/put.ts'

const SIZE = 16_000_000

/** Both ends of a connection over which so many bytes are written, and none is read yet. */
async function stalled(host: string): Promise<{ readonly sender: Socket; readonly reader: Socket } & Disposable> {
  const server = createServer().listen(0, host)
  await once(server, 'listening')
  const reader = connect((server.address() as AddressInfo).port, host).pause()
  const [sender] = (await once(server, 'connection')) as [Socket]
  sender.on('error', () => {}).write(Buffer.alloc(SIZE))
  const close = () => {
    for (const socket of [sender, reader]) socket.destroy()
    server.close()
  }
  return { sender, reader, [Symbol.dispose]: close }
}

const skip = process.platform === 'linux' ? false : 'only Linux tells'

for (const host of ['127.0.0.1', '::1']) {
  it(`what the kernel keeps for ${host} is what it took and the other side did not acknowledge`, { skip }, async () => {
    using connection = await stalled(host)
    using other = await stalled(host)
    const { sender, reader } = connection
    const kept = async () => (await keptByKernel([other.sender, sender])).get(sender) ?? Number.NaN
    await eventually(async () => assert.ok((await kept()) > 0))
    const [taken, before] = [takenByKernel(sender), await kept()]
    assert.ok(taken > before && taken < SIZE, `${taken} taken, ${before} kept`)
    reader.resume()
    await eventually(async () => assert.deepEqual([takenByKernel(sender), await kept()], [SIZE, 0]))
    assert.ok(((await keptByKernel([other.sender])).get(other.sender) ?? 0) > 0)
  })
}

it('of a connection that is over nothing is known', async () => {
  using connection = await stalled('127.0.0.1')
  connection.sender.destroy()
  assert.equal((await keptByKernel([connection.sender])).size, 0)
})
