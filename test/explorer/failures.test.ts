import assert from 'node:assert/strict'
import { rm, writeFile } from 'node:fs/promises'
import { after, before, it } from 'node:test'
import { openBrowser, type TestBrowser } from '../support/browser.ts'
import { describeWith } from '../support/describe-with.ts'
import { filesBelow } from '../support/objects.ts'
import { put, storedOf } from '../support/put.ts'
import { insertForeign } from '../support/rows.ts'
import { startServer, type TestServer } from '../support/server.ts'
import { chromium } from '../support/services.ts'
import { takePicture } from './picture.ts'

const STATE = JSON.stringify({
  messages: [{ text: 'hello' }],
  list: Array.from({ length: 300 }, (_, index) => ({ index })),
})

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
    await takePicture(browser.page, 'missing')
  })

  it('OBJECT_CORRUPT: shows none of bytes that are not those that were captured', async () => {
    const { id, file } = await captured('corrupt')
    await writeFile(file, STATE.replace('hello', 'CORRUPT'))
    await open('corrupt', id)
    await fault('OBJECT_CORRUPT').waitFor()
    assert.equal(await browser.page.getByText('CORRUPT', { exact: true }).count(), 0)
  })

  it('INVALID_PAYLOAD: leads to the text, where it can be read', async () => {
    await writeFile(`${server.storagePath}/invalid.json`, '{"score": NaN, "text": "as Python writes it"}')
    const id = await insertForeign(server.databaseUrl, { runId: 'invalid', storageUri: 'file:///invalid.json' })
    await open('invalid', id)
    await fault('INVALID_PAYLOAD').waitFor()
    await takePicture(browser.page, 'invalid')
    await browser.page.getByRole('button', { name: 'Read its text' }).click()
    await browser.page.getByText('as Python writes it').waitFor()
  })

  it('tells how far it is while a large state of another writer is looked through, and opens it then', async () => {
    const { databaseUrl, storagePath } = server
    await using hurried = await startServer({ store: { databaseUrl, storagePath }, partsWaitMillis: 1 })
    const items = Array.from({ length: 500_000 }, (_, index) => `{"id":${index},"text":"written elsewhere"}`)
    await writeFile(`${storagePath}/foreign.json`, `[${items.join(',')}]`)
    const id = await insertForeign(databaseUrl, { runId: 'foreign', storageUri: 'file:///foreign.json' })
    await browser.page.goto(`${hurried.url}/explorer/runs/foreign/snapshots/${id}`)
    await browser.page.getByRole('progressbar', { name: 'Looked through' }).waitFor()
    await takePicture(browser.page, 'looked-through')
    await row('item 0, object').waitFor()
  })

  it('POINTER_NOT_FOUND: opens the nearest place, and says so', async () => {
    const { id } = await captured('pointer')
    await open('pointer', id, '?at=/messages/0/none/deeper')
    await fault('POINTER_NOT_FOUND').waitFor()
    await row('item 0, object').first().waitFor()
    await takePicture(browser.page, 'pointer')
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
    }
  })

  it('DELETED: says so in the rows of a state that is deleted while it is open', async () => {
    const { id } = await captured('deleted')
    await open('deleted', id)
    await row('list, array').waitFor()
    await server.graphql('mutation($id: ID!) { deleteSnapshot(snapshotId: $id) { deletedId } }', { id })
    await row('list, array').dblclick()
    await browser.page.getByText('The state is not there any more').first().waitFor()
    await row('messages, array').waitFor()
  })

  it('is told how large a value is that is too large to be copied', async () => {
    const { snapshotId } = storedOf(await put(server.url, `{"big":"${'x'.repeat(1_100_000)}"}`, { runId: 'big' }))
    await open('big', snapshotId, '?at=/big')
    await row('big, string').waitFor()
    await browser.page.getByRole('button', { name: 'Value' }).click()
    await browser.page.getByText('The value has 1.10 MB').first().waitFor()
  })

  it('OVERLOADED: asks again when the server said so', async () => {
    const { id } = await captured('refused')
    let code = 'OVERLOADED'
    await browser.context.route('**/graphql', async (route) => {
      if (!String(route.request().postData()).includes('query Place') || code === '') return await route.continue()
      const errors = [{ message: 'No', path: ['snapshotById', 'at'], extensions: { code, retryable: true } }]
      const body = JSON.stringify({ data: { snapshotById: { at: null } }, errors })
      await route.fulfill({ contentType: 'application/graphql-response+json', headers: { 'retry-after': '1' }, body })
    })
    await open('refused', id)
    await fault('OVERLOADED').waitFor()
    await takePicture(browser.page, 'overloaded')
    code = ''
    await row('list, array').waitFor()
    await browser.context.unroute('**/graphql')
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
    await takePicture(browser.page, 'gone')
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
    await row('list, array').dblclick()
    await browser.context.setOffline(false)
    await row('item 0, object').waitFor()
    assert.equal(await browser.page.locator('[data-line]').count(), 0)
  })
})
