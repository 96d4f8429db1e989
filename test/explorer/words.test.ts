import assert from 'node:assert/strict'
import { it } from 'node:test'
import { capture } from '../support/answers.ts'
import { openBrowser } from '../support/browser.ts'
import { describeWith } from '../support/describe-with.ts'
import { createRandom } from '../support/random.ts'
import { startServer } from '../support/server.ts'
import { chromium } from '../support/services.ts'
import { tasksWhile } from './main-thread.ts'

/** Of the longest strings whose words are compared, in bytes of their source text. */
const LONGEST = 65_000

const words = (count: number, word: (index: number) => string) =>
  Array.from({ length: count }, (_, index) => word(index))
    .join(' ')
    .slice(0, LONGEST)

await describeWith('the longest strings whose words are compared', chromium, ({ executablePath }) => {
  it('hold the page up no longer than others, whatever differs in them', async (test) => {
    await using server = await startServer()
    await using browser = await openBrowser(executablePath)
    const next = createRandom(17)
    const random = () => `w${Math.floor(next() * 50)}`
    const pairs: readonly (readonly [string, string])[] = [
      [words(9000, (index) => `word${index}`), words(9000, (index) => (index % 50 ? `word${index}` : `new${index}`))],
      [words(32_000, random), words(32_000, random)],
      ['a '.repeat(LONGEST / 2), `b ${'a '.repeat(LONGEST / 2 - 9)}c`],
      [words(4000, random), words(4000, random)],
      ['.'.repeat(LONGEST / 4), ','.repeat(LONGEST / 4)],
      ['\u202e'.repeat(LONGEST / 4), '\u202d'.repeat(LONGEST / 4)],
    ]
    for (const side of [0, 1] as const) {
      await capture(server, {
        runId: 'words',
        stepId: 'one',
        payload: Object.fromEntries(pairs.map((pair, index) => [index, pair[side]])),
      })
    }
    const query = '{ run(runId: "words") { latestSnapshot { snapshotId } } }'
    const { data } = await server.graphql<{ run: { latestSnapshot: { snapshotId: string } } }>(query)
    await browser.page.goto(
      `${server.url}/explorer/runs/words/snapshots/${data.run.latestSnapshot.snapshotId}?vs=previous`,
    )
    const compare = browser.page.getByRole('button', { name: 'Compare the words' })
    await compare.nth(pairs.length - 1).waitFor()
    for (let left = pairs.length; left > 0; left--) {
      const { longestMillis } = await tasksWhile(browser.page, async () => {
        await compare.first().click()
        await browser.page
          .locator('.words')
          .nth(pairs.length - left)
          .waitFor()
      })
      test.diagnostic(`pair ${pairs.length - left}: ${longestMillis.toFixed(1)} ms`)
      assert.ok(longestMillis <= 50, `pair ${pairs.length - left}: a task of ${longestMillis} ms`)
    }
    assert.ok((await browser.page.locator('.words ins').count()) > 100)
    await browser.page
      .getByText(/and \d+ other pieces/)
      .first()
      .waitFor()
  })
})
