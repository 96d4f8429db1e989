import { mkdir } from 'node:fs/promises'
import type { Page } from 'playwright-core'

/** With `EXPLORER_PICTURES` set to a folder, keeps what the page looks like there in both themes, for people to look at. */
export async function takePicture(page: Page, name: string): Promise<void> {
  const folder = process.env['EXPLORER_PICTURES']
  if (!folder) return
  await mkdir(folder, { recursive: true })
  for (const colorScheme of ['dark', 'light'] as const) {
    await page.emulateMedia({ colorScheme })
    await page.screenshot({ path: `${folder}/${name}-${colorScheme}.png` })
  }
}
