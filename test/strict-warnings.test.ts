import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { readFile, writeFile } from 'node:fs/promises'
import { it } from 'node:test'
import { fileURLToPath } from 'node:url'
import { temporaryFolder } from './support/tmp.ts'

const STRICT = fileURLToPath(new URL('support/strict-warnings.ts', import.meta.url))
const SLIPS = {
  'a rejection that nobody hears': 'Promise.reject(new Error("unheard"))',
  'listeners that are never taken away':
    'const e = new EventEmitter(); for (let i = 0; i < 12; i++) e.on("x", () => {})',
  'a file that is closed by the garbage collector':
    'process.emitWarning("Closing a FileHandle", "DeprecationWarning", "DEP0137")',
}

for (const [name, slip] of Object.entries(SLIPS)) {
  it(`J4: a test file that lets one slip fails: ${name}`, async () => {
    await using folder = await temporaryFolder()
    const path = `${folder.path}/slip.test.mjs`
    await writeFile(
      path,
      `import { EventEmitter } from 'node:events'\nimport { it } from 'node:test'\nit('slips', async () => { ${slip}; await new Promise((done) => setTimeout(done, 20)) })\n`,
    )
    const { scripts } = JSON.parse(await readFile('package.json', 'utf8'))
    const flags = ['--unhandled-rejections=strict', '--trace-warnings']
    for (const flag of [...flags, '--import ./test/support/strict-warnings.ts']) assert.ok(scripts.test.includes(flag))
    const { NODE_TEST_CONTEXT: _ours, ...env } = process.env
    const code = await new Promise((resolve) => {
      execFile(process.execPath, [...flags, '--import', STRICT, '--test', path], { env }, (error) =>
        resolve(error?.code ?? 0),
      )
    })
    assert.equal(code, 1)
  })
}
