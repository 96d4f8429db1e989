import assert from 'node:assert/strict'
import { after, before, it } from 'node:test'
import { type BrowserContext, chromium as browserType, type Page } from 'playwright-core'
import { describeWith } from '../support/describe-with.ts'
import { startProcess } from '../support/process.ts'
import { chromium } from '../support/services.ts'
import { temporaryFolder } from '../support/tmp.ts'

const VIEWPORT = { width: 1280, height: 800 }

const QUIET = ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-sync'].concat([
  '--disable-background-networking',
  '--disable-component-update',
])

await describeWith('GraphiQL in a browser, on the demo', chromium, ({ executablePath }) => {
  const cleanup = new AsyncDisposableStack()
  let url: string
  let context: BrowserContext
  let page: Page
  /** What went wrong on the page, and whom it asked. */
  const complaints: string[] = []
  const hosts = new Set<string>()

  before(async () => {
    const folder = cleanup.use(await temporaryFolder())
    const demo = cleanup.use(startProcess({ args: ['demo'], env: { PORT: '0', TMPDIR: folder.path } }))
    cleanup.defer(async () => void (await demo.stop()))
    const ready = demo.waitForLine(/GraphiQL in a browser +(\S+)/)
    const profile = cleanup.use(await temporaryFolder())
    context = await browserType.launchPersistentContext(profile.path, {
      executablePath,
      args: QUIET,
      viewport: VIEWPORT,
    })
    cleanup.defer(() => context.close())
    context.on('request', (request) => {
      const { protocol, hostname } = new URL(request.url())
      if (protocol.startsWith('http')) hosts.add(hostname)
    })
    await context.route('**/*', (route) =>
      new URL(route.request().url()).hostname === '127.0.0.1' ? route.continue() : route.abort(),
    )
    page = await context.newPage()
    page.on('console', (message) => {
      if (message.type() === 'error' || message.type() === 'warning') complaints.push(message.text())
    })
    page.on('pageerror', (error) => complaints.push(String(error)))
    url = (await ready)[1] ?? ''
  })
  after(() => cleanup.disposeAsync())

  /** Runs what is in the editor; the answer, once the page shows that phrase of it. */
  async function run(phrase: string): Promise<{ readonly data: Record<string, unknown>; readonly errors?: unknown }> {
    const answer = page.waitForResponse((response) => {
      const sent = response.request().postData()
      return sent !== null && !sent.includes('IntrospectionQuery')
    })
    await page.locator('.graphiql-execute-button').click()
    await page.locator('.result-window').getByText(phrase).first().waitFor()
    return await (await answer).json()
  }

  it('loads from this server alone', async () => {
    await page.goto(url)
    await page.locator('.graphiql-query-editor').getByText('runs').first().waitFor()
    assert.deepEqual([...hosts], ['127.0.0.1'])
    assert.deepEqual(complaints, [])
  })

  it('runs its first query, and shows runs, steps and where their states lie', async () => {
    const { data, errors } = await run('refund-agent/case 8841, second try')
    assert.equal(errors, undefined)
    const { edges } = data['runs'] as { edges: readonly { node: { runId: string } }[] }
    assert.deepEqual(
      edges.map(({ node }) => node.runId),
      ['code-review-77', 'refund-agent/case 8841, second try', 'refund-agent/case 8841', 'nightly-digest-0412'],
    )
    assert.deepEqual(complaints, [])
  })

  it('opens a link with a query in it, runs nothing by itself, and shows a payload', async () => {
    const query = '{ snapshot(runId: "nightly-digest-0412", stepId: "publish") { sizeBytes payload } }'
    await page.goto(`${url}?query=${encodeURIComponent(query)}`)
    await page.locator('.graphiql-query-editor').getByText('publish').first().waitFor()
    assert.equal(await page.locator('.result-window').getByText('digest-small').count(), 0)
    const { data, errors } = await run('digest-small')
    assert.equal(errors, undefined)
    assert.ok(JSON.stringify(data).includes('"documents"'))
    assert.deepEqual([...hosts], ['127.0.0.1'])
    assert.deepEqual(complaints, [])
  })

  it('shows the events of a subscription as they come', async () => {
    const query =
      'subscription { runEvents(runId: "nightly-digest-0412") { __typename ... on RunEnded { run { status workflowName } } } }'
    await page.goto(`${url}?query=${encodeURIComponent(query)}`)
    await page.locator('.graphiql-query-editor').getByText('runEvents').first().waitFor()
    await page.locator('.graphiql-execute-button').click()
    await page.locator('.result-window').getByText('RunEnded').first().waitFor()
    assert.deepEqual(complaints, [])
  })
})
