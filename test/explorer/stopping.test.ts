import assert from 'node:assert/strict'
import { after, before, beforeEach, it } from 'node:test'
import { STATE } from '../graphql/parts-fixture.ts'
import { openBrowser, type TestBrowser } from '../support/browser.ts'
import { describeWith } from '../support/describe-with.ts'
import { type MemoryS3, startMemoryS3 } from '../support/memory-s3.ts'
import { s3Env } from '../support/objects.ts'
import { eventually, put, storedOf } from '../support/put.ts'
import { insertForeign } from '../support/rows.ts'
import { startServer, type TestServer } from '../support/server.ts'
import { chromium } from '../support/services.ts'
import { violations } from './axe.ts'
import { takePicture } from './picture.ts'

await describeWith('what takes long in the explorer', chromium, ({ executablePath }) => {
  const cleanup = new AsyncDisposableStack()
  let store: MemoryS3
  let server: TestServer
  let browser: TestBrowser

  before(async () => {
    store = cleanup.use(await startMemoryS3())
    // A pass goes on between two questions of the page, and not for who has left.
    server = cleanup.use(
      await startServer({ env: s3Env(store.service), passLimits: { leftMillis: 1, toldMillis: 3000 } }),
    )
    browser = cleanup.use(await openBrowser(executablePath))
  })
  after(() => cleanup.disposeAsync())
  beforeEach(() => {
    store.broken.length = 0
    store.beforeGet = () => {}
  })

  const page = () => browser.page
  const fault = (code: string) => page().locator(`.fault[data-code=${code}]`)
  const row = (text: string) => page().getByRole('treeitem', { name: text })
  const stop = () => page().getByRole('button', { name: 'Stop', exact: true }).click()
  const open = (runId: string, id: string, query = '') =>
    page().goto(`${server.url}/explorer/runs/${runId}/snapshots/${id}${query}`)

  /** From now on the store answers nothing. */
  function hold(): void {
    store.beforeGet = () => new Promise(() => {})
  }

  /** The server reads it no more. */
  const isLeft = (count = 1) =>
    eventually(async () => assert.ok(store.broken.length >= count, `${store.broken.length} reads were broken off`))

  async function captured(runId: string): Promise<string> {
    return storedOf(await put(server.url, STATE, { runId, stepId: runId })).snapshotId
  }

  it('is told with how far it is, and can be stopped: the first look at a state of another writer', async () => {
    store.objects.set('foreign.json', STATE)
    const id = await insertForeign(server.databaseUrl, { runId: 'foreign', storageUri: 's3://memory/foreign.json' })
    hold()
    await open('foreign', id)
    await page().getByRole('progressbar', { name: 'Looked through' }).waitFor()
    await takePicture(page(), 'looked-through')
    assert.deepEqual(await violations(page()), [])
    await stop()
    await fault('STOPPED').waitFor()
    await takePicture(page(), 'stopped')
    assert.deepEqual(await violations(page()), [])
    await isLeft()
    store.beforeGet = () => {}
    await page().getByRole('button', { name: 'Try again' }).click()
    await row('items, array').waitFor()
    assert.equal(await fault('STOPPED').count(), 0)
  })

  it('can be stopped: a state whose store does not answer', async () => {
    const id = await captured('slow')
    hold()
    await open('slow', id)
    await page().getByText('Reading the state …').waitFor()
    await takePicture(page(), 'waiting')
    await stop()
    await fault('STOPPED').waitFor()
    await isLeft()
  })

  it('can be stopped: a search, and goes on from there', async () => {
    const id = await captured('search')
    await open('search', id)
    await row('items, array').waitFor()
    hold()
    await page().keyboard.press('/')
    await page().keyboard.type('item 7')
    await page().keyboard.press('Enter')
    await page().locator('[data-search=running]').waitFor()
    await eventually(async () => assert.ok(store.requests.length > 0))
    await stop()
    await page().locator('[data-search=stopped]').waitFor()
    await takePicture(page(), 'search-stopped')
    await isLeft()
    store.beforeGet = () => {}
    await page().getByRole('button', { name: 'Search on' }).click()
    await page().getByRole('complementary', { name: 'Matches' }).getByRole('listitem').first().waitFor()
  })

  it('can be stopped: a difference', async () => {
    const id = await captured('diff')
    const changed = Buffer.from(STATE.toString().replaceAll('item 7', 'ITEM 7'))
    const { snapshotId } = storedOf(await put(server.url, changed, { runId: 'diff', stepId: 'diff' }))
    hold()
    await open('diff', snapshotId, `?vs=${id}`)
    await page().getByText('Comparing …').waitFor()
    await stop()
    await fault('STOPPED').first().waitFor()
    await isLeft()
    store.beforeGet = () => {}
    await page().getByRole('button', { name: 'Try again' }).first().click()
    await page().locator('.change').first().waitFor()
  })
})
