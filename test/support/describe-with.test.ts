import assert from 'node:assert/strict'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { startProcess } from './process.ts'
import { temporaryFolder } from './tmp.ts'

const HELPER = new URL('describe-with.ts', import.meta.url).href

describe('a suite on a service that cannot be had', () => {
  it('is skipped with a line that says how to get the service', async () => {
    const { code, printed } = await runSuite({})
    assert.equal(code, 0)
    assert.match(printed, /skipped 1/)
    assert.match(printed, /put radosgw on the PATH/)
  })

  it('fails where CI is set', async () => {
    const { code, printed } = await runSuite({ CI: 'true' })
    assert.equal(code, 1)
    assert.match(printed, /put radosgw on the PATH/)
  })
})

async function runSuite(env: Readonly<Record<string, string>>) {
  await using folder = await temporaryFolder()
  const script = join(folder.path, 'suite.mjs')
  const missing = { unavailable: 'put radosgw on the PATH' }
  const call = `await describeWith('storage', async () => (${JSON.stringify(missing)}), () => { throw new Error() })`
  await writeFile(script, `import { describeWith } from ${JSON.stringify(HELPER)}\n${call}\n`)
  await using child = startProcess({ nodeArgs: ['--test'], script, args: [], env })
  const { code } = await child.exited
  return { code, printed: child.stdout() }
}
