import { readFile } from 'node:fs/promises'
import type { Page } from 'playwright-core'

const AXE = await readFile(new URL(import.meta.resolve('axe-core/axe.min.js')), 'utf8')

interface Violation {
  readonly id: string
  readonly nodes: readonly { readonly html: string }[]
}

/** What axe finds wrong with the page as it is, in both themes. It is left in the light one. */
export async function violations(page: Page): Promise<string[]> {
  const found: string[] = []
  for (const colorScheme of ['dark', 'light'] as const) {
    await page.emulateMedia({ colorScheme })
    await page.evaluate(AXE)
    const list = (await page.evaluate('axe.run(document).then(({ violations }) => violations)')) as Violation[]
    found.push(...list.map(({ id, nodes }) => `${colorScheme}: ${id} ${nodes[0]?.html.slice(0, 160)}`))
  }
  return found
}
