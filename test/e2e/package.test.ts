import assert from 'node:assert/strict'
import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { cp, glob, mkdir, readFile, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { promisify } from 'node:util'
import { freshDatabase } from '../support/database.ts'
import { startProcess } from '../support/process.ts'
import { eventually } from '../support/put.ts'
import { startServer } from '../support/server.ts'
import { type TemporaryFolder, temporaryFolder } from '../support/tmp.ts'
import { livingProcessesOf } from './processes.ts'

const ROOT = new URL('../..', import.meta.url).pathname
const run = promisify(execFile)

/** What a careful user has. */
const TSCONFIG = {
  compilerOptions: {
    target: 'es2024',
    lib: ['es2024', 'dom', 'dom.iterable', 'dom.asynciterable'],
    module: 'nodenext',
    strict: true,
    noEmit: true,
    allowImportingTsExtensions: true,
    skipLibCheck: false,
    types: ['node'],
  },
  include: ['**/*.ts'],
}

describe('the package', () => {
  let folder: TemporaryFolder
  /** Where it is installed. */
  let home: string
  let bin: string
  let archive: string
  before(async () => {
    folder = await temporaryFolder()
    await run('npm', ['pack', '--silent', '--pack-destination', folder.path], { cwd: ROOT })
    const [packed = ''] = await Array.fromAsync(glob('*.tgz', { cwd: folder.path }))
    archive = join(folder.path, packed)
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

  it('has nothing that nobody needs', async () => {
    const { stdout } = await run('tar', ['-tzf', archive])
    const files = stdout.trim().split('\n')
    const kinds =
      /^package\/(?:package\.json|README\.md|LICENSE|bin\/statelens\.cjs|schema(?:\.client)?\.graphql|docs\/[\w-]+\.md)$/
    const code = /^package\/dist\/(?:[\w-]+\/)*[\w.-]+\.(?:js|wasm|html|css|svg)$/
    const types =
      /^package\/dist\/(?:client|langgraph|library|model|auth|db|storage)\/[\w/-]+\.d\.ts$|^package\/dist\/errors\.d\.ts$/
    assert.deepEqual(
      files.filter((file) => ![kinds, code, types].some((form) => form.test(file))),
      [],
    )
  })

  for (const compiler of ['typescript', 'typescript-5.9']) {
    it(`is typed for ${compiler}, with every declaration checked`, async () => {
      await copyExamples()
      const tsc = join(ROOT, 'node_modules', compiler, 'bin', 'tsc')
      await run(process.execPath, [tsc, '-p', join(folder.path, 'examples')], { cwd: folder.path })
    })
  }

  for (const name of ['fastify', 'express', 'fetch-handler']) {
    it(`runs the example ${name}, inside of which states pass byte for byte`, async () => {
      await copyExamples()
      await using database = await freshDatabase()
      const settings = { DATABASE_URL: database.url, DATA_DIR: join(folder.path, name) }
      await runScript(
        `${name}.ts`,
        `import { check } from './examples/checks.ts'\nawait check(${JSON.stringify(name)}, ${JSON.stringify(settings)})`,
      )
    })
  }

  /** As a user copies them, beside the packages that they name. */
  async function copyExamples(): Promise<void> {
    const target = join(folder.path, 'examples')
    for (const name of ['fastify', 'express', 'fetch-handler']) {
      await cp(join(ROOT, 'examples', name), join(target, name), { recursive: true })
    }
    await cp(join(ROOT, 'test', 'e2e', 'example-checks.ts'), join(target, 'checks.ts'))
    await writeFile(join(target, 'tsconfig.json'), JSON.stringify(TSCONFIG))
    await writeFile(join(folder.path, 'package.json'), '{"type":"module"}')
    for (const name of ['fastify', 'express', '@types']) {
      const link = join(folder.path, 'node_modules', name)
      await symlink(join(ROOT, 'node_modules', name), link).catch((error: NodeJS.ErrnoException) => {
        if (error.code !== 'EEXIST') throw error
      })
    }
  }

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
