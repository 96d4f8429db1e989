import assert from 'node:assert/strict'
import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, readFile, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { promisify } from 'node:util'
import { startProcess } from '../support/process.ts'
import { eventually } from '../support/put.ts'
import { startServer } from '../support/server.ts'
import { type TemporaryFolder, temporaryFolder } from '../support/tmp.ts'
import { livingProcessesOf } from './processes.ts'

const ROOT = new URL('../..', import.meta.url).pathname
const run = promisify(execFile)

describe('the package', () => {
  let folder: TemporaryFolder
  /** Where it is installed. */
  let home: string
  let bin: string
  before(async () => {
    folder = await temporaryFolder()
    await run('npm', ['pack', '--silent', '--pack-destination', folder.path], { cwd: ROOT })
    home = join(folder.path, 'node_modules', 'statelens')
    await mkdir(home, { recursive: true })
    await run('sh', ['-c', `tar -xzf "${folder.path}"/*.tgz --strip-components=1 -C "${home}"`])
    // What it depends on is what the lock file has.
    await symlink(join(ROOT, 'node_modules'), join(home, 'node_modules'))
    bin = join(home, 'bin', 'statelens.cjs')
  })
  after(() => folder[Symbol.asyncDispose]())

  /** A script beside the installed package. */
  async function runScript(name: string, text: string) {
    await writeFile(join(folder.path, name), text)
    return await run(process.execPath, [name], { cwd: folder.path })
  }

  it('runs as a command, as the shell starts it', async () => {
    const { version } = JSON.parse(await readFile(join(ROOT, 'package.json'), 'utf8'))
    assert.equal((await run(bin, ['--version'])).stdout, `${version}\n`)
    assert.match((await run(bin, [])).stdout, /^statelens <command>/)
  })

  it('serves, in a folder that is not a checkout', async () => {
    const env = { PORT: '0', DATA_DIR: join(folder.path, 'data') }
    await using server = startProcess({ script: bin, args: ['serve'], env, cwd: folder.path })
    const url = new URL(await server.waitForUrl())
    await eventually(async () => assert.equal((await fetch(`${url.origin}/health/ready`)).status, 200))
    assert.deepEqual(await server.stop(), { code: 0, signal: null })
  })

  it('says on an old Node which one it needs, and nothing else', async () => {
    const old = join(folder.path, 'old.cjs')
    await writeFile(
      old,
      `Object.defineProperty(process, 'versions', { value: { ...process.versions, node: '20.20.2' } })`,
    )
    await using child = startProcess({ nodeArgs: ['--require', old], script: bin, args: ['serve'] })
    assert.deepEqual(await child.exited, { code: 1, signal: null })
    assert.match(child.stderr(), /^statelens needs Node 24 or later, and this is Node 20\.20\.2\.\nInstall it .*\n$/)
    assert.equal(child.stdout(), '')
  })

  it('has what others read of it: client, schema, package.json', async () => {
    await runScript(
      'exports.mjs',
      `import assert from 'node:assert'
      import { readFileSync } from 'node:fs'
      import { createClient } from 'statelens/client'
      import about from 'statelens/package.json' with { type: 'json' }
      assert.equal(typeof createClient, 'function')
      assert.equal(about.name, 'statelens')
      assert.match(readFileSync(new URL(import.meta.resolve('statelens/schema.graphql')), 'utf8'), /type Query/)`,
    )
  })

  it('runs the example in TypeScript of the README, as it stands there', async () => {
    await using server = await startServer()
    const readme = await readFile(join(ROOT, 'README.md'), 'utf8')
    const example = /```ts\n(.*?)```/s.exec(readme)?.[1] ?? assert.fail('no example')
    await writeFile(join(folder.path, 'state.json'), '{"a":1.0}')
    await runScript('example.ts', example.replaceAll('http://127.0.0.1:4000', server.url))
    const { data } = await server.graphql('{ step(runId: "my-run", stepId: "embed") { snapshot { kind sizeBytes } } }')
    assert.deepEqual(data, { step: { snapshot: { kind: 'OUTPUT', sizeBytes: 9 } } })
  })
})

it('`npm start` hands a SIGTERM on, and leaves nothing running', async () => {
  await using folder = await temporaryFolder()
  const env = { ...process.env, PORT: '0', DATA_DIR: folder.path, DRAIN_DELAY_SECONDS: '0' }
  const npm = spawn('npm', ['start', '--silent'], { cwd: ROOT, env, stdio: ['ignore', 'pipe', 'inherit'] })
  const ended = once(npm, 'exit')
  let output = ''
  for await (const chunk of npm.stdout.setEncoding('utf8')) {
    output += chunk
    if (output.includes('"listening"')) break
  }
  npm.kill('SIGTERM')
  await ended
  // npm itself waits for no one.
  for (let left = await livingProcessesOf(folder.path); left.length > 0; left = await livingProcessesOf(folder.path)) {
    await new Promise((resolve) => setTimeout(resolve, 100))
  }
})
