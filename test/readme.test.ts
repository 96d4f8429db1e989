import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import { after, before, describe, it } from 'node:test'
import { promisify } from 'node:util'
import { fillDemo } from '../src/commands/demo.ts'
import { startServer, type TestServer } from './support/server.ts'
import { type TemporaryFolder, temporaryFolder } from './support/tmp.ts'

interface Block {
  readonly language: string
  readonly text: string
}

const README = await readFile('README.md', 'utf8')
const BLOCKS = blocksOf(README)
const PARTS = blocksOf(await readFile('docs/parts.md', 'utf8'))

function blocksOf(markdown: string): Block[] {
  return [...markdown.matchAll(/^```(\w+)\n(.*?)^```/gms)].map(([, language = '', text = '']) => ({ language, text }))
}

describe('the README', () => {
  let server: TestServer
  let folder: TemporaryFolder

  before(async () => {
    server = await startServer()
    folder = await temporaryFolder()
    await fillDemo(server.app.writer, { print: () => {}, signal: new AbortController().signal })
  })
  after(async () => {
    await server[Symbol.asyncDispose]()
    await folder[Symbol.asyncDispose]()
  })

  it('shows only operations that work, and their true answers', async () => {
    const blocks = [...BLOCKS, ...PARTS]
    const operations = blocks.flatMap((block, index) =>
      block.language === 'graphql' ? [{ block, next: blocks[index + 1] }] : [],
    )
    assert.ok(operations.length >= 6)
    for (const { block, next } of operations) {
      const answer = await server.graphql(block.text)
      assert.equal(answer.errors, undefined, block.text)
      if (next?.language === 'json') assert.deepEqual({ data: answer.data }, JSON.parse(next.text))
    }
  })

  it('shows only curl commands that work, one after the other', async () => {
    const commands = BLOCKS.filter(({ language, text }) => language === 'sh' && text.startsWith('curl '))
    assert.ok(commands.length >= 2)
    for (const { text } of commands) {
      const command = text.replaceAll('http://127.0.0.1:4000', server.url)
      await promisify(execFile)('sh', ['-ec', command], { cwd: folder.path })
    }
    const state = JSON.parse(await readFile(`${folder.path}/state.json`, 'utf8'))
    assert.equal(state.data.snapshot.digest, 'sha256:c1d37d30888dfdb4b2137790f7773494ac9814563559c9ac3a5d9adfc7c11cd1')
    const { data } = await server.graphql('{ step(runId: "my-run", stepId: "embed") { snapshot { storageTier } } }')
    assert.deepEqual(data, { step: { snapshot: { storageTier: 'OBJECT' } } })
  })

  it('lists the settings that there are', async () => {
    const example = await readFile('.env.example', 'utf8')
    const settings = [...example.matchAll(/^# ([A-Z][A-Z0-9_]+)=/gm)].map(([, name = '']) => name)
    const table = README.slice(README.indexOf('### Settings'), README.indexOf('## How it holds up'))
    const missing = settings.filter((name) => !name.startsWith('MINIO_') && !table.includes(`\`${name}\``))
    assert.ok(settings.length > 15)
    assert.deepEqual(missing, [])
  })
})
