import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect } from 'node:net'
import { describe, it } from 'node:test'
import { startServer } from '../support/server.ts'

describe('a server that is closed', () => {
  it('does not wait for a connection that was never used, as browsers open in advance', { timeout: 8000 }, async () => {
    const server = await startServer()
    const { hostname, port } = new URL(server.url)
    const spare = connect(Number(port), hostname)
    await once(spare, 'connect')
    // Answered behind it, so the server knows of the spare one.
    await (await fetch(`${server.url}/health/live`)).arrayBuffer()
    const gone = once(spare.resume(), 'close')
    await server[Symbol.asyncDispose]()
    await gone
    assert.equal(spare.bytesRead, 0)
  })
})
