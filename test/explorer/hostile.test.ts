import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer, request } from 'node:http'
import type { AddressInfo } from 'node:net'
import { after, before, it } from 'node:test'
import { writeSegment } from '../../src/explorer/path-segment.ts'
import { capture } from '../support/answers.ts'
import { openBrowser, type TestBrowser } from '../support/browser.ts'
import { describeWith } from '../support/describe-with.ts'
import { eventually, put, storedOf } from '../support/put.ts'
import { startServer, type TestServer } from '../support/server.ts'
import { chromium } from '../support/services.ts'
import { takePicture } from './picture.ts'

const HTML = `<img src=x onerror="document.title='run'"><script>document.title='run'</script>`
const RUN = `../${HTML}\u202e/~1`
/** The whole state is one level more. */
const DEEP = 511

/** What strangers put into states: markup, keys of prototypes, characters that turn text round, huge keys, depth, a key twice. */
const HOSTILE = `{
  ${JSON.stringify(HTML)}: ${JSON.stringify(HTML)},
  "__proto__": {"polluted": true}, "constructor": 1, "": "no key",
  "turned \\u202e round": "\u202etext that turns\\u0007", "lone \\ud800": "\\ud800",
  "${'k'.repeat(100_000)}": "a key of 100 KB",
  "link": "javascript:alert(1)", "site": "https://example.test/",
  "deep": ${'['.repeat(DEEP)}1${']'.repeat(DEEP)},
  "twice": 1, "twice": 2
}`

await describeWith('hostile states and unlucky lines in the explorer', chromium, ({ executablePath }) => {
  const cleanup = new AsyncDisposableStack()
  let server: TestServer
  let browser: TestBrowser
  let hostileId: string

  before(async () => {
    server = cleanup.use(await startServer())
    hostileId = storedOf(await put(server.url, HOSTILE, { runId: RUN, stepId: '__proto__' })).snapshotId
    browser = cleanup.use(await openBrowser(executablePath))
  })
  after(() => cleanup.disposeAsync())

  const row = (text: string) => browser.page.getByRole('treeitem', { name: text })
  const toState = (runId: string, id: string, query = '') =>
    `${server.url}/explorer/runs/${writeSegment(runId)}/snapshots/${id}${query}`

  async function assertUnharmed(): Promise<void> {
    assert.equal(await browser.page.locator('img, main script').count(), 0)
    assert.notEqual(await browser.page.title(), 'run')
    assert.equal(await browser.page.evaluate('({}).polluted'), undefined)
    assert.doesNotMatch(await browser.page.locator('main').innerText(), /\p{Bidi_Control}/u)
  }

  it('change nothing in the page but their own text: runs, run, tree, table, text and difference', async () => {
    for (const query of ['', '?view=table', '?view=text', '?vs=previous', '?at=/__proto__/polluted', '?find=img']) {
      await browser.page.goto(toState(RUN, hostileId, query))
      await browser.page
        .getByText(query === '?vs=previous' ? 'first state of its run' : 'onerror')
        .first()
        .waitFor()
      await assertUnharmed()
    }
    await takePicture(browser.page, 'hostile')
    await browser.page.goto(`${server.url}/explorer/runs/${writeSegment(RUN)}`)
    await browser.page.getByRole('link', { name: '__proto__' }).first().waitFor()
    await assertUnharmed()
    await browser.page.goto(`${server.url}/explorer/`)
    await browser.page.getByText('<img src=x').waitFor()
    await assertUnharmed()
  })

  it('show keys of prototypes, keys of 100 KB, a key twice and what turns text round, each as it is', async () => {
    await browser.page.goto(toState(RUN, hostileId))
    await row('__proto__, object, 1 key').waitFor()
    await row('constructor, number, 1').waitFor()
    await row('turned \\u202e round, string').waitFor()
    await row(`${'k'.repeat(120)}…, string`).waitFor()
    assert.equal(await row('twice, number').count(), 2)
    await browser.page.goto(toState(RUN, hostileId, '?at=/twice'))
    await row('twice, number, 2').and(browser.page.locator('.active')).waitFor()
  })

  it('open at 512 levels', async () => {
    await browser.page.goto(toState(RUN, hostileId, `?at=/deep${'/0'.repeat(DEEP)}`))
    const deepest = row('item 0, number, 1')
    await deepest.waitFor()
    assert.equal(await deepest.getAttribute('aria-level'), String(DEEP + 2))
  })

  it('lead to http and https alone', async () => {
    await browser.page.goto(toState(RUN, hostileId, '?at=/site'))
    const link = browser.page.getByRole('link', { name: 'Open this address' })
    assert.equal(await link.getAttribute('href'), 'https://example.test/')
    await browser.page.goto(toState(RUN, hostileId, '?at=/link'))
    await browser.page.getByRole('complementary').getByText('javascript:alert(1)').waitFor()
    assert.equal(await link.count(), 0)
  })

  it('drops rows that come late for a window or a state that one has left', async () => {
    const states = ['one', 'two'].map((name) => ({
      list: Array.from({ length: 400 }, (_, index) => `${name} ${index}`),
    }))
    const [first, second] = [
      await capture(server, { runId: 'late', stepId: 's', payload: states[0] }),
      await capture(server, { runId: 'late', stepId: 's', payload: states[1] }),
    ]
    const held: (() => void)[] = []
    await browser.context.route('**/graphql', async (route) => {
      const { query, variables } = route.request().postDataJSON()
      const isHeld =
        query.includes('query Children') && variables.id === first.snapshot.snapshotId && variables.pointer === '/list'
      if (isHeld) await new Promise<void>((resolve) => held.push(resolve))
      await route.continue().catch(() => {})
    })
    await browser.page.goto(toState('late', first.snapshot.snapshotId, '?at=/list'))
    await row('list, array').waitFor()
    await browser.page.keyboard.press('.')
    await row('two 0').waitFor()
    for (const go of held) go()
    await browser.page.waitForLoadState('networkidle')
    assert.equal(await row('"one').count(), 0)
    assert.match(browser.page.url(), new RegExp(second.snapshot.snapshotId))
    await browser.context.unroute('**/graphql')
  })

  it('puts each window where it belongs, in whatever order they arrive', async () => {
    const payload = { list: Array.from({ length: 400 }, (_, index) => `value ${index}`) }
    const { snapshot } = await capture(server, { runId: 'windows', stepId: 's', payload })
    const held = new Map<number, () => void>()
    await browser.context.route('**/graphql', async (route) => {
      const { query, variables } = route.request().postDataJSON()
      if (query.includes('query Children') && variables.pointer === '/list') {
        await new Promise<void>((resolve) => held.set(variables.skip, resolve))
      }
      await route.continue().catch(() => {})
    })
    const isAsked = (skip: number) => eventually(async () => assert.ok(held.has(skip), `${skip} is asked for`))
    await browser.page.goto(toState('windows', snapshot.snapshotId, '?at=/list'))
    await isAsked(0)
    const tree = browser.page.getByRole('tree', { name: 'State' })
    await tree.focus()
    await browser.page.keyboard.press('End')
    await isAsked(300)
    const late = held.get(300)
    held.clear()
    await browser.page.keyboard.press('Home')
    await isAsked(0)
    late?.()
    held.get(0)?.()
    await row('item 0, string, "value 0"').waitFor()
    held.clear()
    await browser.page.keyboard.press('End')
    await isAsked(300)
    held.get(300)?.()
    await row('item 399, string, "value 399"').waitFor()
    const names = await browser.page.getByRole('treeitem').allTextContents()
    for (const name of names) {
      const [, item, value] = /item (\d+), string, "value (\d+)"/.exec(name) ?? []
      assert.equal(item, value)
    }
    await browser.context.unroute('**/graphql')
  })

  it('asks little for small states, however many one flips through', async () => {
    let asked = 0
    browser.page.on('request', (sent) => {
      if (sent.url().endsWith('/graphql')) asked++
    })
    for (let index = 0; index < 4; index++) await capture(server, { runId: 'flip', stepId: 's', payload: { index } })
    const { data } = await server.graphql<{ run: { snapshots: { nodes: { snapshotId: string }[] } } }>(
      '{ run(runId: "flip") { snapshots { nodes { snapshotId } } } }',
    )
    await browser.page.goto(toState('flip', data.run.snapshots.nodes[0]?.snapshotId ?? ''))
    await row('index, number, 0').waitFor()
    asked = 0
    for (let index = 1; index < 4; index++) {
      await browser.page.keyboard.press('.')
      await row(`index, number, ${index}`).waitFor()
    }
    // What is known of it, its root, its rows, and what changed.
    assert.ok(asked <= 3 * 4, `${asked} requests`)
  })

  it('say what to do where a deploy has taken the scripts of an older page away', async () => {
    await browser.context.route('**/assets/*.js', (route) => route.fulfill({ status: 404, body: '' }))
    await browser.page.goto(`${server.url}/explorer/`)
    await browser.page.getByText('load the page again').waitFor()
    await browser.context.unroute('**/assets/*.js')
    browser.complaints.length = 0
  })

  it('works below the path of a proxy, at any depth of the address', async () => {
    await using proxy = await startPrefixProxy(server.port, '/state')
    await browser.page.goto(
      `${proxy.origin}/state/explorer/runs/${writeSegment(RUN)}/snapshots/${hostileId}?at=/constructor`,
    )
    await row('constructor, number, 1').waitFor()
    await browser.page.getByRole('link', { name: 'Runs', exact: true }).click()
    await browser.page.getByText('<img src=x').waitFor()
    assert.equal(browser.page.url(), `${proxy.origin}/state/explorer/`)
  })

  it('says nothing on the console, and asks nobody else', () => {
    assert.deepEqual(browser.complaints, [])
    assert.deepEqual([...browser.hosts], ['127.0.0.1'])
  })
})

/** Hands on what is asked below the prefix, without it. */
async function startPrefixProxy(port: number, prefix: string): Promise<{ readonly origin: string } & AsyncDisposable> {
  const proxy = createServer((incoming, outgoing) => {
    const { method, headers, url = '' } = incoming
    const path = url.startsWith(`${prefix}/`) ? url.slice(prefix.length) : '/none'
    const onward = request({ host: '127.0.0.1', port, method, headers, path }, (answer) => {
      outgoing.writeHead(answer.statusCode ?? 502, answer.headers)
      answer.pipe(outgoing)
    })
    onward.once('error', () => outgoing.destroy())
    outgoing.once('close', () => onward.destroy())
    incoming.pipe(onward)
  })
  await once(proxy.listen(0, '127.0.0.1'), 'listening')
  const { port: listening } = proxy.address() as AddressInfo
  return {
    origin: `http://127.0.0.1:${listening}`,
    async [Symbol.asyncDispose]() {
      const closed = once(proxy, 'close')
      proxy.close()
      proxy.closeAllConnections()
      await closed
    },
  }
}
