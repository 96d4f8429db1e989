import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { after, before, it } from 'node:test'
import { fileURLToPath } from 'node:url'
import { fillDemo } from '../../src/commands/demo.ts'
import { capture, dataOf } from '../support/answers.ts'
import { openBrowser, type TestBrowser } from '../support/browser.ts'
import { describeWith } from '../support/describe-with.ts'
import { startServer, type TestServer } from '../support/server.ts'
import { chromium } from '../support/services.ts'
import { violations } from './axe.ts'
import { takePicture } from './picture.ts'

/** `UPDATE_SCREENSHOT=1` writes the pictures of the README anew. */
const PICTURES = {
  run: fileURLToPath(new URL('../../docs/explorer-run.png', import.meta.url)),
  diff: fileURLToPath(new URL('../../docs/explorer-diff.png', import.meta.url)),
}

await describeWith('the explorer on the runs of the demo', chromium, ({ executablePath }) => {
  const cleanup = new AsyncDisposableStack()
  let server: TestServer
  let browser: TestBrowser
  /** Ids of states, by step and kind, of the run with states of every size. */
  const ids = new Map<string, string>()

  before(async () => {
    server = cleanup.use(await startServer())
    browser = cleanup.use(await openBrowser(executablePath))
  })
  after(() => cleanup.disposeAsync())

  const page = () => browser.page
  const open = (path: string) => page().goto(`${server.url}/explorer/${path}`)
  const row = (text: string) => page().getByRole('treeitem', { name: text })
  const toDigest = (state: string, query = '') => `runs/nightly-digest-0412/snapshots/${ids.get(state)}${query}`

  async function learnIds(): Promise<void> {
    type State = { readonly stepId: string; readonly kind: string; readonly snapshotId: string }
    const query = '{ run(runId: "nightly-digest-0412") { snapshots(first: 100) { nodes { stepId kind snapshotId } } } }'
    const { run } = await dataOf(server.graphql<{ run: { snapshots: { nodes: readonly State[] } } }>(query))
    for (const { stepId, kind, snapshotId } of run.snapshots.nodes) ids.set(`${stepId} ${kind}`, snapshotId)
  }

  it('shows how to record a first state, with this address, and the first run as soon as it is there', async () => {
    await page().goto(server.url)
    await page().getByText('No run has been recorded yet').waitFor()
    assert.equal(page().url(), `${server.url}/explorer/`)
    await page().getByText(`curl -sf -X PUT '${server.url}/runs/my-run`).waitFor()
    await takePicture(page(), 'first-visit')
    assert.deepEqual(await violations(page()), [])
    await page().getByRole('button', { name: 'Copy' }).first().click()
    assert.match(String(await page().evaluate('navigator.clipboard.readText()')), /^curl -sf/)
    await capture(server, {
      runId: 'first',
      stepId: 'one',
      payload: { html: '<img src=x onerror=alert(1)>', __proto__: 1 },
    })
    await page().getByRole('link', { name: 'first' }).waitFor()
  })

  it('lists runs, and says that there are new ones instead of moving rows', async () => {
    await fillDemo(server.app.writer, { print: () => {}, signal: new AbortController().signal })
    await learnIds()
    const news = page().getByRole('button', { name: '3 new runs' })
    await news.waitFor()
    assert.equal(await page().getByRole('link', { name: 'nightly-digest-0412' }).count(), 0)
    await news.click()
    await page().getByRole('link', { name: 'nightly-digest-0412' }).waitFor()
    await takePicture(page(), 'runs')
    assert.deepEqual(await violations(page()), [])
  })

  it('keeps filters in the address, and finds by them', async () => {
    await open('')
    await page().getByLabel('Status').selectOption('FAILED')
    await page().getByRole('link', { name: 'nightly-digest-0412' }).waitFor({ state: 'detached' })
    assert.equal(new URL(page().url()).search, '?status=FAILED')
    await open('?tag=team:payments&q=refund')
    await page().getByRole('link', { name: 'refund-agent/case 8841, second try' }).waitFor()
    assert.equal(await page().getByLabel('Tag').inputValue(), 'team:payments')
    await page().getByRole('link', { name: 'Clear' }).click()
    await page().getByRole('link', { name: 'nightly-digest-0412' }).waitFor()
  })

  it('shows a run with its failure on top, and the way to the step that failed', async () => {
    await open('runs/refund-agent~1case%208841')
    await page().getByText('refund_agent.ledger.LedgerError').waitFor()
    await page().getByRole('link', { name: 'in issue refund' }).click()
    await page().getByRole('link', { name: 'error', exact: false }).last().waitFor()
    assert.equal(new URL(page().url()).search, '?step=issue-refund')
    await takePicture(page(), 'failed-run')
    assert.deepEqual(await violations(page()), [])
    await open('runs/nightly-digest-0412')
    await page().getByRole('link', { name: 'State of publish' }).waitFor()
    if (process.env['UPDATE_SCREENSHOT']) await page().screenshot({ path: PICTURES.run })
    await page().getByLabel('Hide succeeded').check()
    await page().getByText('Every step succeeded.').waitFor()
  })

  it('follows a run: new steps and states appear, and the end is told', async () => {
    const { writer } = server.app
    await writer.upsertRun({ runId: 'live', status: 'RUNNING', startedAt: new Date().toISOString() })
    await open('runs/live?follow=1')
    await page().locator('[data-live=live]').waitFor()
    await capture(server, { runId: 'live', stepId: 'first step', payload: 1 })
    await page().getByRole('link', { name: 'State of first step' }).waitFor()
    await writer.upsertStep({
      runId: 'live',
      stepId: 'first step',
      status: 'RUNNING',
      startedAt: new Date().toISOString(),
    })
    await page().locator('.status[data-status=RUNNING]').nth(1).waitFor()
    await takePicture(page(), 'live')
    assert.deepEqual(await violations(page()), [])
    await writer.upsertRun({ runId: 'live', status: 'SUCCEEDED', endedAt: new Date().toISOString() })
    await page().locator('.page-head [data-status=SUCCEEDED]').waitFor()
    await page().locator('[data-live=ended]').waitFor()
  })

  it('opens a state, its strings, JSON in a string, its table and its text; a pasted link shows the same place', async () => {
    await open(toDigest('rewrite OUTPUT', '?at=/messages/2/tool/arguments'))
    await row('arguments, string').waitFor()
    await page().getByRole('button', { name: 'As JSON' }).click()
    await page().getByRole('tree', { name: 'JSON in the string' }).getByText('limit', { exact: true }).waitFor()
    await takePicture(page(), 'state')
    assert.deepEqual(await violations(page()), [])
    await page().getByRole('link', { name: 'Table' }).click()
    await open(toDigest('rewrite OUTPUT', '?at=/documents&view=table'))
    await page().getByRole('columnheader', { name: 'score' }).waitFor()
    await takePicture(page(), 'table')
    assert.deepEqual(await violations(page()), [])
    await open(toDigest('embed OUTPUT', '?view=text&byte=6553600'))
    await page().getByText('from byte 6,553,600 of 24.0 MB').waitFor()
    await takePicture(page(), 'text')
    assert.deepEqual(await violations(page()), [])
  })

  it('finds on the server, and says what was searched', async () => {
    await open(toDigest('rewrite OUTPUT', '?find=Z%C3%BCrich&below=/messages'))
    const matches = page().getByRole('complementary', { name: 'Matches' })
    await matches.locator('[data-search=over]').waitFor()
    assert.ok((await matches.getByRole('listitem').count()) > 1)
    await page().keyboard.press('n')
    await page().waitForURL(/at=\/messages/)
    await takePicture(page(), 'find')
    assert.deepEqual(await violations(page()), [])
  })

  it('travels in time at the same place, and marks what changed', async () => {
    await open(toDigest('critique OUTPUT', '?at=/budget/tokens_used'))
    await row('tokens_used, number').waitFor()
    await page().keyboard.press('.')
    await page().waitForURL(new RegExp(String(ids.get('rewrite OUTPUT'))))
    await row('tokens_used, number, 19041, 5 B, changed').waitFor()
    await row('budget, object, 3 keys, 56 B, something changed within').waitFor()
    await takePicture(page(), 'time-travel')
    assert.deepEqual(await violations(page()), [])
  })

  it('shows a difference: what changed alone, words of a string, and what it cost', async () => {
    await open(toDigest('rewrite OUTPUT', '?vs=previous'))
    await page()
      .getByText(/^\d+ changes · read/)
      .waitFor()
    await page().locator('.words ins').first().waitFor()
    await takePicture(page(), 'diff')
    await page().keyboard.press('n')
    await page().keyboard.press('n')
    assert.equal(await page().locator('.change.here').count(), 1)
    assert.deepEqual(await violations(page()), [])
    if (process.env['UPDATE_SCREENSHOT']) {
      await open(toDigest('embed OUTPUT', '?vs=previous'))
      await page().locator('.words ins').first().waitFor()
      await page().screenshot({ path: PICTURES.diff })
    }
    const [download] = await Promise.all([
      page().waitForEvent('download'),
      page().getByRole('button', { name: 'JSON Patch' }).click(),
    ])
    assert.equal(JSON.parse(await readFile(await download.path(), 'utf8'))[0].op, 'replace')
  })

  it('compares two runs, and leads to where they part', async () => {
    await open('compare/refund-agent~1case%208841/refund-agent~1case%208841,%20second%20try')
    await page().getByText('They part at').waitFor()
    await takePicture(page(), 'compare')
    assert.deepEqual(await violations(page()), [])
    await page().getByRole('link', { name: 'differs' }).first().click()
    await page().getByText('the limit was raised').first().waitFor()
  })

  it('is walked by keys alone: run, step, state, pointer, copy, difference', async () => {
    const keys = async (...names: string[]) => {
      for (const name of names) await page().keyboard.press(name)
    }
    await open('runs/nightly-digest-0412')
    const link = page().getByRole('link', { name: 'State of rewrite' })
    await link.waitFor()
    for (let tabs = 0; tabs < 80; tabs++) {
      await keys('Tab')
      if (/^State of rewrite/.test(String(await page().evaluate('document.activeElement.ariaLabel')))) break
    }
    await keys('Enter')
    await row('budget, object').waitFor()
    await keys('@')
    await page().keyboard.type('/budget/usd')
    await keys('Enter')
    await row('usd, number').waitFor()
    await page().waitForURL(/at=\/budget\/usd/)
    await keys('y', 'p')
    await page().locator('.notice', { hasText: 'Copied the pointer' }).waitFor()
    assert.equal(await page().evaluate('navigator.clipboard.readText()'), '/budget/usd')
    await keys('y', 'j')
    await page().locator('.notice', { hasText: 'Copied the path for jq' }).waitFor()
    assert.equal(await page().evaluate('navigator.clipboard.readText()'), '.budget.usd')
    await keys('y', 'v')
    await page().locator('.notice', { hasText: 'Copied the value' }).waitFor()
    assert.equal(await page().evaluate('navigator.clipboard.readText()'), '0.2343')
    await keys(
      'ArrowLeft',
      'ArrowLeft',
      'Home',
      'ArrowDown',
      'ArrowDown',
      'ArrowDown',
      'ArrowDown',
      'ArrowDown',
      'y',
      'v',
    )
    await page().locator('.notice', { hasText: 'Copied the value, 4.51 KB' }).waitFor()
    const copied = String(await page().evaluate('navigator.clipboard.readText()'))
    // Whole, and not what is shown of it.
    assert.equal(JSON.parse(copied).length, 22)
    await keys('Home', 'd')
    await page().waitForURL(/vs=previous/)
    await page().locator('.change').first().waitFor()
    await keys('?')
    await page().getByRole('dialog').waitFor()
    await takePicture(page(), 'help')
    assert.deepEqual(await violations(page()), [])
    await keys('Escape')
    await page().getByRole('dialog').waitFor({ state: 'hidden' })
  })

  it('fits on a phone, and moves nothing for who wants that', async () => {
    await page().setViewportSize({ width: 390, height: 844 })
    await page().emulateMedia({ reducedMotion: 'reduce' })
    for (const path of [
      '',
      'runs/nightly-digest-0412?follow=1',
      toDigest('rewrite OUTPUT', '?at=/draft'),
      toDigest('rewrite OUTPUT', '?vs=previous'),
    ]) {
      await open(path)
      await page().locator('h1').waitFor()
      await page().waitForLoadState('load')
      assert.ok(Number(await page().evaluate('document.documentElement.scrollWidth')) <= 390, path)
      const moving = await page().evaluate(
        `document.getAnimations().filter(({ playState }) => playState === 'running').length`,
      )
      assert.equal(moving, 0, path)
    }
    await takePicture(page(), 'phone')
    await page().emulateMedia({ reducedMotion: null })
    await page().setViewportSize({ width: 1280, height: 800 })
  })

  it('asks this server alone, says nothing on the console, and keeps a theme that was chosen', async () => {
    await open('')
    await page().getByRole('heading', { name: 'Runs' }).waitFor()
    await page().keyboard.press('t')
    await page().keyboard.press('t')
    await page().reload()
    assert.equal(await page().locator('html').getAttribute('data-theme'), 'dark')
    assert.deepEqual([...browser.hosts], ['127.0.0.1'])
    assert.deepEqual(browser.complaints, [])
  })
})
