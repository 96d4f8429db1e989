import assert from 'node:assert/strict'
import { once } from 'node:events'
import { rm, writeFile } from 'node:fs/promises'
import { connect, type Socket } from 'node:net'
import { after, before, it } from 'node:test'
import { openBrowser, type TestBrowser } from '../support/browser.ts'
import { describeWith } from '../support/describe-with.ts'
import { filesBelow } from '../support/objects.ts'
import { put, storedOf } from '../support/put.ts'
import { insertForeign } from '../support/rows.ts'
import { startServer, type TestServer } from '../support/server.ts'
import { chromium } from '../support/services.ts'
import { violations } from './axe.ts'
import { takePicture } from './picture.ts'

const STATE = JSON.stringify({
  messages: [{ text: 'hello' }],
  list: Array.from({ length: 300 }, (_, index) => ({ index })),
})

/** More than sockets hold on the way to who does not read. */
function* largeState(): Generator<Buffer> {
  yield Buffer.from('["the beginning"')
  for (let part = 0; part < 40; part++) yield Buffer.from(`,"${'x'.repeat(1_000_000)}"`)
  yield Buffer.from(']')
}

/** Asks for bytes, and reads none after the first. */
async function holdPlace({ port }: TestServer, path: string): Promise<Socket> {
  const socket = connect({ host: '127.0.0.1', port })
  socket.write(`GET ${path} HTTP/1.1\r\nhost: localhost\r\n\r\n`)
  await once(socket, 'readable')
  return socket
}

await describeWith('what the explorer draws when something is wrong', chromium, ({ executablePath }) => {
  const cleanup = new AsyncDisposableStack()
  let server: TestServer
  let browser: TestBrowser

  before(async () => {
    server = await startServer({ env: { SNAPSHOT_INLINE_MAX_BYTES: '100' } })
    cleanup.defer(() => server[Symbol.asyncDispose]())
    browser = cleanup.use(await openBrowser(executablePath))
  })
  after(() => cleanup.disposeAsync())

  const fault = (code: string) => browser.page.locator(`.fault[data-code=${code}]`)
  const row = (text: string) => browser.page.getByRole('treeitem', { name: text })
  /** As it is drawn: a picture of it, and nothing that keeps people out. */
  async function look(name: string): Promise<void> {
    await takePicture(browser.page, name)
    assert.deepEqual(await violations(browser.page), [], name)
  }
  const open = (runId: string, id: string, query = '') =>
    browser.page.goto(`${server.url}/explorer/runs/${runId}/snapshots/${id}${query}`)

  /** A state in a file of its own, which the test may spoil. */
  async function captured(runId: string): Promise<{ readonly id: string; readonly file: string }> {
    const old = new Set(await filesBelow(server.storagePath))
    const { snapshotId } = storedOf(await put(server.url, STATE.replace('hello', runId), { runId }))
    const [file = ''] = (await filesBelow(server.storagePath)).filter((name) => !old.has(name))
    return { id: snapshotId, file: `${server.storagePath}/${file}` }
  }

  it('OBJECT_MISSING: says that the bytes are gone, below what is known without them', async () => {
    const { id, file } = await captured('missing')
    await rm(file)
    await open('missing', id)
    await fault('OBJECT_MISSING').waitFor()
    await browser.page.getByText('Digest').waitFor()
    await look('missing')
  })

  it('OBJECT_CORRUPT: shows none of bytes that are not those that were captured', async () => {
    const { id, file } = await captured('corrupt')
    await writeFile(file, STATE.replace('hello', 'CORRUPT'))
    await open('corrupt', id)
    await fault('OBJECT_CORRUPT').waitFor()
    await look('corrupt')
    assert.equal(await browser.page.getByText('CORRUPT', { exact: true }).count(), 0)
  })

  it('INVALID_PAYLOAD: leads to the text, where it can be read', async () => {
    await writeFile(`${server.storagePath}/invalid.json`, '{"score": NaN, "text": "as Python writes it"}')
    const id = await insertForeign(server.databaseUrl, { runId: 'invalid', storageUri: 'file:///invalid.json' })
    await open('invalid', id)
    await fault('INVALID_PAYLOAD').waitFor()
    await look('invalid')
    await browser.page.getByRole('button', { name: 'Read its text' }).click()
    await browser.page.getByText('as Python writes it').waitFor()
  })

  it('POINTER_NOT_FOUND: opens the nearest place, and says so', async () => {
    const { id } = await captured('pointer')
    await open('pointer', id, '?at=/messages/0/none/deeper')
    await fault('POINTER_NOT_FOUND').waitFor()
    await row('item 0, object').first().waitFor()
    await look('pointer')
    await browser.page.getByRole('button', { name: 'Open /messages/0' }).click()
    await row('text, string').waitFor()
    assert.equal(await fault('POINTER_NOT_FOUND').count(), 0)
  })

  it('NOT_FOUND: has a way on from a run, a state and an address that are not there', async () => {
    for (const path of [
      'runs/none',
      'runs/none/snapshots/00000000-0000-4000-8000-000000000000',
      'compare/none/neither',
    ]) {
      await browser.page.goto(`${server.url}/explorer/${path}`)
      await fault('NOT_FOUND').waitFor()
      await browser.page.getByRole('link', { name: 'All runs' }).waitFor()
      await look(`not-found-${path.split('/').length}`)
    }
  })

  it('DELETED: says so in the rows of a state that is deleted while it is open', async () => {
    const { id } = await captured('deleted')
    await open('deleted', id)
    await row('list, array').waitFor()
    await server.graphql('mutation($id: ID!) { deleteSnapshot(snapshotId: $id) { deletedId } }', { id })
    await row('list, array').dblclick()
    await browser.page.getByText('The state is not there any more').first().waitFor()
    await fault('DELETED').waitFor()
    await look('deleted')
    await row('messages, array').waitFor()
  })

  it('is told how large a value is that is too large to be copied', async () => {
    const { snapshotId } = storedOf(await put(server.url, `{"big":"${'x'.repeat(1_100_000)}"}`, { runId: 'big' }))
    await open('big', snapshotId, '?at=/big')
    await row('big, string').waitFor()
    await browser.page.getByRole('button', { name: 'Value' }).click()
    await browser.page.getByText('The value has 1.10 MB').first().waitFor()
    await look('too-large')
  })

  it('OVERLOADED: says so while slow readers hold every place, and goes on when there is one', async () => {
    const { databaseUrl, storagePath } = server
    const store = { databaseUrl, storagePath }
    const env = { SNAPSHOT_INLINE_MAX_BYTES: '100', PAYLOAD_STREAMS_MAX: '1' }
    await using narrow = await startServer({ store, env, admission: { queueMillis: 50 } })
    const { snapshotId } = storedOf(await put(narrow.url, largeState(), { runId: 'overloaded' }))
    const slow = await holdPlace(narrow, `/snapshots/${snapshotId}/payload`)
    await browser.page.goto(`${narrow.url}/explorer/runs/overloaded/snapshots/${snapshotId}?view=text`)
    await fault('OVERLOADED').getByText('too much to do').waitFor()
    await look('overloaded')
    slow.destroy()
    await browser.page.getByText('"the beginning"').waitFor()
    assert.equal(await fault('OVERLOADED').count(), 0)
    browser.complaints.length = 0
  })

  it('SERVER_GONE: keeps what it has, looks for the server, and goes on when it is back', async () => {
    const { id } = await captured('gone')
    await open('gone', id)
    await row('list, array').waitFor()
    const { port, databaseUrl, storagePath } = server
    await server.app.close()
    await row('list, array').dblclick()
    await browser.page.locator('[data-line=gone]').waitFor()
    await row('messages, array').waitFor()
    await look('gone')
    const env = { SNAPSHOT_INLINE_MAX_BYTES: '100', PORT: String(port) }
    const next = cleanup.use(await startServer({ env, store: { databaseUrl, storagePath } }))
    assert.equal(next.port, port)
    await row('item 0, object').waitFor()
    assert.equal(await browser.page.locator('[data-line]').count(), 0)
  })

  it('OFFLINE: says that it is the device, and goes on afterwards', async () => {
    const { id } = await captured('offline')
    await open('offline', id)
    await row('list, array').waitFor()
    await browser.context.setOffline(true)
    await browser.page.locator('[data-line=offline]').waitFor()
    await look('offline')
    await row('list, array').dblclick()
    await browser.context.setOffline(false)
    await row('item 0, object').waitFor()
    assert.equal(await browser.page.locator('[data-line]').count(), 0)
  })
})
