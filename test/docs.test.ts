import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import { glob, readFile } from 'node:fs/promises'
import { dirname, join, normalize } from 'node:path'
import { it } from 'node:test'
import { buildSchema, parse, validate } from 'graphql'

const PAGES = [
  'README.md',
  'SECURITY.md',
  'src/README.md',
  'bench/README.md',
  ...(await Array.fromAsync(glob('docs/*.md'))),
]
const TEXTS = new Map(await Promise.all(PAGES.map(async (page) => [page, await readFile(page, 'utf8')] as const)))

/** Without what is shown as code. */
function proseOf(text: string): string {
  return text.replace(/^```.*?^```/gms, '').replace(/`[^`\n]*`/g, (code) => code.replace(/[[\]]/g, ' '))
}

/** Names of the headings of a page, as GitHub makes them. */
function anchorsOf(text: string): ReadonlySet<string> {
  const headings = text.replace(/^```.*?^```/gms, '').matchAll(/^#{1,6} +(.+?) *$/gm)
  return new Set(
    [...headings].map(([, heading = '']) =>
      heading
        .toLowerCase()
        .replace(/[^\p{L}\p{N}\s_-]/gu, '')
        .replace(/\s/g, '-'),
    ),
  )
}

it('leads by every link to a file, and to a heading, that is there', () => {
  const broken: string[] = []
  let links = 0
  for (const [page, text] of TEXTS) {
    for (const [, target = ''] of proseOf(text).matchAll(/\]\(([^)\s]+)\)/g)) {
      if (/^[a-z]+:/.test(target)) continue
      links++
      const [path = '', anchor] = target.split('#')
      const file = path === '' ? page : normalize(join(dirname(page), path))
      const isThere = existsSync(file)
      const other = TEXTS.get(file)
      const isNamed = anchor === undefined || (other !== undefined && anchorsOf(other).has(anchor))
      if (!isThere || !isNamed) broken.push(`${page}: ${target}`)
    }
  }
  assert.deepEqual(broken, [])
  assert.ok(links > 20)
})

it('shows no operation that the schema does not know', async () => {
  const schema = buildSchema(await readFile('schema.client.graphql', 'utf8'))
  const wrong: string[] = []
  let operations = 0
  for (const [page, text] of TEXTS) {
    for (const [, shown = ''] of text.matchAll(/^```graphql\n(.*?)^```/gms)) {
      if (!/^\s*(query|mutation|subscription|fragment|\{)/m.test(shown)) continue
      operations++
      try {
        for (const { message } of validate(schema, parse(shown))) wrong.push(`${page}: ${message}`)
      } catch (error) {
        wrong.push(`${page}: ${error}`)
      }
    }
  }
  assert.deepEqual(wrong, [])
  assert.ok(operations >= 6)
})

it('tells of every command, in the README', async () => {
  const { COMMANDS } = await import('../src/commands/commands.ts')
  const readme = TEXTS.get('README.md') ?? ''
  const missing = Object.keys(COMMANDS).filter(
    (name) => !new RegExp(`(statelens|statelens --|run) ${name}\\b`).test(readme),
  )
  assert.deepEqual(missing, [])
})
