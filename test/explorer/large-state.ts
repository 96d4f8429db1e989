import assert from 'node:assert/strict'
import { after, before, it } from 'node:test'
import { openBrowser, type TestBrowser } from '../support/browser.ts'
import { startCountingProxy } from '../support/counting-proxy.ts'
import { describeWith } from '../support/describe-with.ts'
import { s3Env } from '../support/objects.ts'
import { put, storedOf } from '../support/put.ts'
import { startServer, type TestServer } from '../support/server.ts'
import { chromium, type S3Service } from '../support/services.ts'
import { tasksWhile } from './main-thread.ts'

export interface LargeState {
  /** How many objects of some 60 bytes the list has that is most of the state. */
  readonly items: number
  /** The state has more. */
  readonly leastBytes: number
  /** How many pages pass. */
  readonly scrolls: number
  /** Where it is kept; undefined: in a folder. */
  readonly s3?: S3Service
}

const LONG_TASK_MILLIS = 50
const HEAP_MOST_BYTES = 60_000_000
/** Of the store, for one place and the first page of what is in it. */
const READ_MOST_BYTES = 1_048_576

function* largeState(items: number): Generator<Buffer> {
  yield Buffer.from('{"first":true,"items":[')
  for (let start = 0; start < items; start += 10_000) {
    const written = Array.from({ length: 10_000 }, (_, index) => {
      const number = start + index
      return `{"id":${number},"name":"item ${number}","tags":["a","b"],"n":1e-400}`
    })
    yield Buffer.from(`${start === 0 ? '' : ','}${written.join(',')}`)
  }
  yield Buffer.from('],"last":{"deep":{"deeper":"end"}}}')
}

const TREE = "document.querySelector('[role=tree]')"

/** What the explorer holds to, however large a state is. */
export const describeLargeState = (name: string, { items, leastBytes, scrolls, s3 }: LargeState) =>
  describeWith(name, chromium, ({ executablePath }) => {
    const cleanup = new AsyncDisposableStack()
    let server: TestServer
    let browser: TestBrowser
    let address: string
    /** What the store gave; nothing is counted in a folder. */
    let reads: { readonly bytes: number }[] = []
    /** What was asked of the API since it was emptied. */
    const asked: { readonly name: string; readonly variables: Record<string, unknown> }[] = []

    before(async () => {
      const proxy = s3 && cleanup.use(await startCountingProxy(s3.endpoint))
      const env = s3 && proxy ? s3Env({ ...s3, endpoint: proxy.endpoint }) : {}
      server = cleanup.use(await startServer({ env: { ...env, SNAPSHOT_INLINE_MAX_BYTES: '100000' } }))
      const stored = storedOf(await put(server.url, largeState(items), { runId: 'large', stepId: 'one' }))
      assert.ok(stored.sizeBytes > leastBytes, `${stored.sizeBytes}`)
      reads = proxy?.reads ?? []
      address = `${server.url}/explorer/runs/large/snapshots/${stored.snapshotId}`
      browser = cleanup.use(await openBrowser(executablePath))
      browser.page.on('request', (request) => {
        const body = request.url().endsWith('/graphql') ? request.postDataJSON() : null
        if (body)
          asked.push({ name: /(?:query|subscription) (\w+)/.exec(body.query)?.[1] ?? '', variables: body.variables })
      })
    })
    after(() => cleanup.disposeAsync())

    const row = (text: string) => browser.page.getByRole('treeitem', { name: text })
    async function withoutLongTask(act: () => Promise<void>): Promise<number> {
      const { count, longestMillis } = await tasksWhile(browser.page, act)
      assert.ok(count > 0)
      assert.ok(longestMillis <= LONG_TASK_MILLIS, `a task of ${longestMillis} ms`)
      return longestMillis
    }

    it('opens like a folder: one request for what is opened, of at most 100 rows', async () => {
      await browser.page.goto(address)
      await row('items, array').waitFor()
      asked.length = 0
      reads.length = 0
      await row('items, array').dblclick()
      await row('item 0, object').waitFor()
      assert.deepEqual(
        asked.map(({ name, variables }) => [name, variables['pointer'], variables['skip']]),
        [['Children', '/items', 0]],
      )
      assert.equal(await row('items, array').getAttribute('aria-expanded'), 'true')
      assert.equal(await row('item 3, object').getAttribute('aria-setsize'), String(items))
      assert.equal(await row('item 3, object').getAttribute('aria-posinset'), '4')
      const bytes = reads.reduce((sum, read) => sum + read.bytes, 0)
      assert.ok(bytes <= READ_MOST_BYTES, `${bytes} bytes were read`)
    })

    it('jumps into the middle of a million items by one request, and to the last by the scroll bar', async () => {
      asked.length = 0
      reads.length = 0
      await browser.page.goto(`${address}?at=/items/500000/name`)
      await row('name, string, "item 500000"').waitFor()
      const pages = asked.filter(({ name, variables }) => name === 'Children' && variables['pointer'] === '/items')
      // In the middle of the view, it may be near the edge of its page.
      assert.ok(pages.length <= 2, JSON.stringify(pages))
      const bytes = reads.reduce((sum, read) => sum + read.bytes, 0)
      assert.ok(bytes <= 2 * READ_MOST_BYTES, `${bytes} bytes were read`)
      assert.ok(Number(await browser.page.evaluate(`${TREE}.scrollHeight`)) < 8_100_000)
      await browser.page.evaluate(`${TREE}.scrollTo(0, ${TREE}.scrollHeight)`)
      await row(`item ${items - 1}, object`).waitFor()
      await row('last, object').waitFor()
    })

    it('shows a number as it is written', async () => {
      await browser.page.goto(`${address}?at=/items/7/n`)
      await row('n, number, 1e-400').waitFor()
      await browser.page.getByRole('complementary').getByText('1e-400').waitFor()
    })

    it('is never held up while one scrolls, opens, folds and walks', async () => {
      await browser.page.goto(`${address}?at=/items/400000`)
      await row('item 400000, object').waitFor()
      const tree = browser.page.getByRole('tree', { name: 'State' })
      await tree.hover()
      await withoutLongTask(async () => {
        for (let step = 0; step < 30; step++) await browser.page.mouse.wheel(0, step % 3 === 0 ? -4000 : 3000)
        await tree.focus()
        for (const key of [
          'ArrowDown',
          'ArrowRight',
          'ArrowDown',
          'PageDown',
          'PageUp',
          'ArrowLeft',
          'End',
          'Home',
          '*',
          '2',
          '1',
        ]) {
          await browser.page.keyboard.press(key)
        }
      })
    })

    it(`holds as little as before after ${scrolls} pages have passed, and is never held up`, async (test) => {
      await browser.page.goto(`${address}?at=/items`)
      await row('item 0, object').waitFor()
      const tree = browser.page.getByRole('tree', { name: 'State' })
      await tree.focus()
      const elements = () => browser.page.evaluate("document.querySelectorAll('*').length") as Promise<number>
      const before = await elements()
      const pages = Math.ceil(scrolls / 4)
      const longest: number[] = []
      for (let part = 0; part < 4; part++) longest.push(await withoutLongTask(() => scrollOn(pages)))
      await browser.page.waitForLoadState('networkidle')
      assert.ok((await elements()) < before + 40, `${await elements()} elements, and ${before} before`)
      const used = Number(await browser.page.evaluate('(gc(), performance.memory.usedJSHeapSize)'))
      test.diagnostic(
        `heap ${used} bytes, ${before} elements, longest tasks ${longest.map((millis) => millis.toFixed(1))} ms`,
      )
      assert.ok(used < HEAP_MOST_BYTES, `${used} bytes`)
    })

    /** A page a frame, as it comes from a key that is held down. */
    async function scrollOn(pages: number): Promise<void> {
      await browser.page.evaluate(`(async () => {
      const tree = ${TREE}
      for (let page = 0; page < ${pages}; page++) {
        tree.dispatchEvent(new KeyboardEvent('keydown', { key: 'PageDown', bubbles: true }))
        await new Promise((resolve) => requestAnimationFrame(resolve))
      }
    })()`)
    }

    it('says nothing on the console, and asks nobody else', () => {
      assert.deepEqual(browser.complaints, [])
      assert.deepEqual([...browser.hosts], ['127.0.0.1'])
    })
  })
