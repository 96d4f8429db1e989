import type { ChromiumService, Unavailable } from '../services.ts'
import { findBinary, unpackDebian } from './binaries.ts'
import type { Host } from './host.ts'

const NAMES = ['chromium', 'chromium-browser', 'google-chrome-stable', 'google-chrome']

/** A path for playwright-core's `executablePath`; nothing is started here. */
export async function findChromium(host: Host): Promise<ChromiumService | Unavailable> {
  const given = process.env['TEST_CHROMIUM']
  if (given) return { executablePath: given }
  for (const name of NAMES) {
    const binary = await findBinary(name)
    if (binary) return { executablePath: binary }
  }
  const packages = ['chromium', 'fonts-dejavu-core', 'fontconfig-config']
  const root = await unpackDebian(host, { name: 'chromium', packages })
  if (root !== null) return { executablePath: `${root}/run-chromium` }
  return { unavailable: `Chromium is missing: put one of ${NAMES.join(', ')} on the PATH, or set TEST_CHROMIUM` }
}
