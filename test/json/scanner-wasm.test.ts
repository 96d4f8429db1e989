import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { promisify } from 'node:util'
import { openBlockScanner } from '../../src/json/wasm/block-scanner.ts'
import { committedScanner, compileScanner } from '../../src/json/wasm/build.ts'
import { type TemporaryFolder, temporaryFolder } from '../support/tmp.ts'

const run = promisify(execFile)

it('the module in the repository is what its source gives; otherwise: npm run build:wasm', async () => {
  assert.equal(await compileScanner(), await committedScanner())
})

/** Scans a large document, and one with a fault behind its first 64 KiB; tells whether there is WebAssembly for it. */
const SCRIPT = `
  const { createJsonScanner } = await import(process.argv[1] + '/json/scanner.js')
  const { openBlockScanner } = await import(process.argv[1] + '/json/wasm/block-scanner.js')
  const document = Buffer.from(JSON.stringify(Array(9000).fill({ a: [1, true] })))
  const scan = (bytes) => {
    const scanner = createJsonScanner()
    scanner.write(bytes)
    return scanner.end()
  }
  const told = [openBlockScanner() !== null, scan(document)]
  document[100_001] = 0
  try { scan(document) } catch (error) { told.push(error.message) }
  console.log(JSON.stringify(told))`
const VERDICTS = [
  { sizeBytes: 135_001, depth: 3, topLevel: 'array' },
  'Invalid JSON at byte 100001: expected true, false or null',
]

describe('the scanner as it is built', () => {
  let folder: TemporaryFolder
  before(async () => {
    folder = await temporaryFolder()
    await run('node_modules/.bin/tsc', [
      '-p',
      'tsconfig.build.json',
      '--outDir',
      join(folder.path, 'dist'),
      '--declaration',
      'false',
    ])
  })
  after(() => folder[Symbol.asyncDispose]())

  /** What a Node with these flags tells, after these commands of a shell. */
  async function told({ shell = '', flags = '' }): Promise<unknown> {
    const command = `${shell} exec "$0" ${flags} --input-type=module --eval "$@"`
    const { stdout } = await run('sh', ['-c', command, process.execPath, SCRIPT, join(folder.path, 'dist')])
    return JSON.parse(stdout)
  }

  it('goes by WebAssembly, in a small address space too', async () => {
    for (const shell of ['', 'ulimit -v 2000000;']) assert.deepEqual(await told({ shell }), [true, ...VERDICTS])
  })

  it('tells the same without WebAssembly', async () => {
    assert.deepEqual(await told({ flags: '--jitless' }), [false, ...VERDICTS])
  })
})

describe('openBlockScanner', () => {
  it('is null where there is no WebAssembly, no SIMD or no memory', () => {
    const { WebAssembly } = globalThis as { WebAssembly?: object }
    assert.ok(WebAssembly && openBlockScanner())
    class Throws {
      constructor() {
        throw new RangeError('WebAssembly.Instance(): Out of memory')
      }
    }
    try {
      for (const without of [undefined, { ...WebAssembly, Module: Throws }, { ...WebAssembly, Instance: Throws }]) {
        Object.assign(globalThis, { WebAssembly: without })
        assert.equal(openBlockScanner(), null)
      }
    } finally {
      Object.assign(globalThis, { WebAssembly })
    }
  })
})
