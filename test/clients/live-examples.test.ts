import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { readFile, symlink, writeFile } from 'node:fs/promises'
import { after, before, describe, it } from 'node:test'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { put } from '../support/put.ts'
import { startServer, type TestServer } from '../support/server.ts'
import { type TemporaryFolder, temporaryFolder } from '../support/tmp.ts'

const run = promisify(execFile)
const CLIENT = new URL('../../src/client/client.ts', import.meta.url).href

/** Examples of the documentation by the heading above them. */
async function readExamples(language: string): Promise<readonly (readonly [string, string])[]> {
  const text = await readFile(new URL('../../docs/live.md', import.meta.url), 'utf8')
  return text.split(/^### /m).flatMap((section) => {
    const [heading = ''] = section.split('\n')
    const blocks = [...section.matchAll(new RegExp(`^\`\`\`${language}\\n(.*?)^\`\`\``, 'gms'))]
    return blocks.map(([, block = '']) => [heading, block] as const)
  })
}

describe('the examples of docs/live.md', { concurrency: 2 }, async () => {
  let server: TestServer
  let folder: TemporaryFolder
  before(async () => {
    server = await startServer()
    folder = await temporaryFolder()
    await symlink(fileURLToPath(new URL('../../node_modules', import.meta.url)), `${folder.path}/node_modules`)
    await writeFile(`${folder.path}/package.json`, '{ "type": "module" }')
    await put(server.url, '{"todo":["read"]}', { runId: 'my-run', stepId: 'plan' })
    await put(server.url, '{"todo":["write"]}', { runId: 'my-run', stepId: 'embed' })
    await server.graphql('mutation { upsertRun(input: { runId: "my-run", status: SUCCEEDED }) { runId } }')
  })
  after(async () => {
    await folder[Symbol.asyncDispose]()
    await server[Symbol.asyncDispose]()
  })

  const here = (text: string) =>
    text.replaceAll('127.0.0.1:4000', new URL(server.url).host).replaceAll("'statelens/client'", `'${CLIENT}'`)

  for (const [index, [heading, example]] of (await readExamples('ts')).entries()) {
    it(`in TypeScript, for ${heading}, tell of both states, and end (${index + 1})`, async () => {
      const path = `${folder.path}/${index}.ts`
      await writeFile(path, here(example))
      const { stdout } = await run(process.execPath, [path], { timeout: 60_000 })
      const isOwn = heading === 'TypeScript'
      const told = stdout.split('\n').filter((line) => (isOwn ? /^(plan|embed) 1\d$/ : /^SnapshotCaptured$/).test(line))
      assert.equal(told.length, 2, stdout)
      if (isOwn) assert.match(stdout, /\nSUCCEEDED\n$/)
    })
  }

  it('for curl print what stands there', async () => {
    const [[, command = ''] = []] = await readExamples('sh')
    const { stdout } = await run('sh', ['-ec', here(command)])
    const state =
      /^id: (\S+)\nevent: next\ndata: \{"data":\{"runEvents":\{"__typename":"SnapshotCaptured","cursor":"\1",/m
    assert.match(stdout, /^: events follow\nretry: 2000\n\n/)
    assert.match(stdout, state)
    assert.match(stdout, /\n\nevent: complete\ndata:\n\n$/)
  })
})
