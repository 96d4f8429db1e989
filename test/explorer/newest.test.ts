import assert from 'node:assert/strict'
import { after, before, it } from 'node:test'
import { capture } from '../support/answers.ts'
import { openBrowser, type TestBrowser } from '../support/browser.ts'
import { describeWith } from '../support/describe-with.ts'
import { startServer, type TestServer } from '../support/server.ts'
import { chromium } from '../support/services.ts'
import { violations } from './axe.ts'
import { takePicture } from './picture.ts'

await describeWith('the state of a run that is under way, in the explorer', chromium, ({ executablePath }) => {
  const cleanup = new AsyncDisposableStack()
  let server: TestServer
  let browser: TestBrowser
  let firstId: string

  before(async () => {
    server = cleanup.use(await startServer())
    browser = cleanup.use(await openBrowser(executablePath))
    await server.app.writer.upsertRun({ runId: 'live', status: 'RUNNING', startedAt: new Date().toISOString() })
    firstId = await record('plan', 1)
  })
  after(() => cleanup.disposeAsync())

  const page = () => browser.page
  const row = (text: string) => page().getByRole('treeitem', { name: text })
  const resume = (name: string) => page().getByRole('button', { name })

  async function record(stepId: string, done: number): Promise<string> {
    const payload = { plan: { done, open: { left: 9 - done } }, log: [`did ${done}`] }
    return (await capture(server, { runId: 'live', stepId, payload })).snapshot.snapshotId
  }

  it('goes on to each newer state, at the same place, with what is open, and marks what has changed', async () => {
    await page().goto(`${server.url}/explorer/runs/live/snapshots/${firstId}?at=/plan/open`)
    await row('open, object').waitFor()
    await page().getByRole('button', { name: 'Follow' }).click()
    await page().locator('[data-live=live]').waitFor()
    const secondId = await record('plan', 2)
    await page().waitForURL(new RegExp(secondId))
    await row('done, number, 2, 1 B, changed').waitFor()
    await row('left, number, 7, 1 B, changed').waitFor()
    assert.match(page().url(), /at=\/plan\/open/)
    await takePicture(page(), 'newest')
    assert.deepEqual(await violations(page()), [])
  })

  it('shows the one before until the next is there, so that nothing goes away meanwhile', async () => {
    await page().evaluate(`(() => {
      globalThis.least = Number.POSITIVE_INFINITY
      const look = () => {
        least = Math.min(least, document.querySelectorAll('[role=treeitem] .key').length)
        requestAnimationFrame(look)
      }
      look()
    })()`)
    const thirdId = await record('act', 3)
    await page().waitForURL(new RegExp(thirdId))
    await row('done, number, 3').waitFor()
    assert.ok(Number(await page().evaluate('least')) >= 3, 'rows were there all the time')
  })

  it('pauses when one looks elsewhere, tells how many are newer, and goes on from there', async () => {
    await row('log, array').click()
    await resume('Paused · resume').waitFor()
    const before = page().url()
    await record('act', 4)
    await record('act', 5)
    await resume('2 newer states · resume').waitFor()
    await takePicture(page(), 'newest-paused')
    assert.deepEqual(await violations(page()), [])
    await row('done, number, 3').waitFor()
    assert.equal(page().url().split('?')[0], before.split('?')[0])
    await resume('2 newer states · resume').click()
    await row('done, number, 5').waitFor()
    await row('log, array').and(page().locator('.active')).waitFor()
    // Elsewhere in time.
    await page().keyboard.press(',')
    await row('done, number, 4').waitFor()
    await resume('1 newer state · resume').waitFor()
    await resume('1 newer state · resume').click()
    await row('done, number, 5').waitFor()
  })

  it('follows the step that is shown alone, where one asks for that', async () => {
    await page().getByLabel('This step alone').check()
    await page().locator('[data-live=live]').waitFor()
    await record('plan', 6)
    const actId = await record('act', 7)
    await page().waitForURL(new RegExp(actId))
    assert.match(page().url(), /follow=step/)
  })

  it('follows what changes as well, and is told that the run has ended', async () => {
    await page().keyboard.press('d')
    await page().locator('.change').first().waitFor()
    const lastId = await record('act', 8)
    await page().waitForURL(new RegExp(lastId))
    await page().locator('.change').first().waitFor()
    await server.app.writer.upsertRun({ runId: 'live', status: 'SUCCEEDED', endedAt: new Date().toISOString() })
    await page().locator('[data-live=ended]').waitFor()
    await page().keyboard.press('f')
    await page().locator('[data-live]').waitFor({ state: 'detached' })
    assert.deepEqual(browser.complaints, [])
  })
})
