/** `npm run test:explorer-long`: what takes minutes. Needs a real S3 server, as `test/support` finds one. */
import assert from 'node:assert/strict'
import { it } from 'node:test'
import { fillDemo } from '../../src/commands/demo.ts'
import { openBrowser } from '../support/browser.ts'
import { describeWith } from '../support/describe-with.ts'
import { eventually } from '../support/put.ts'
import { startServer } from '../support/server.ts'
import { chromium, s3 } from '../support/services.ts'
import { describeLargeState } from './large-state.ts'

const service = await s3()
assert.ok(!('unavailable' in service), 'unavailable' in service ? service.unavailable : '')

await describeLargeState('a state of 1 GiB in object storage, in the explorer', {
  items: 17_500_000,
  leastBytes: 1024 ** 3,
  scrolls: 2000,
  s3: service,
})

const FIRST_VIEW_MOST_MILLIS = 1000
/** The machine has other work: the best of so many visits counts. */
const VISITS = 8

await describeWith('the first view of the run of the demo', chromium, ({ executablePath }) => {
  it('is there within a second after the page is asked for', async (test) => {
    await using server = await startServer()
    await fillDemo(server.app.writer, { print: () => {}, signal: new AbortController().signal })
    await using browser = await openBrowser(executablePath)
    await browser.page.addInitScript(`new MutationObserver((_changes, observer) => {
      if (!document.querySelector('a[aria-label^="State of publish"]')) return
      observer.disconnect()
      requestAnimationFrame(() => setTimeout(() => { globalThis.seenAt = performance.now() }))
    }).observe(document, { childList: true, subtree: true })`)
    const millis: number[] = []
    for (let visit = 0; visit < VISITS; visit++) {
      await browser.page.goto(`${server.url}/explorer/runs/nightly-digest-0412`)
      await eventually(async () => {
        const seenAt = Number(await browser.page.evaluate('globalThis.seenAt ?? 0'))
        assert.ok(seenAt > 0)
        millis[visit] = Math.round(seenAt)
      })
    }
    test.diagnostic(`${millis.join(', ')} ms`)
    assert.ok(Math.min(...millis) <= FIRST_VIEW_MOST_MILLIS, `${millis.join(', ')} ms`)
  })
})
