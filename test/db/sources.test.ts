import assert from 'node:assert/strict'
import { glob, readFile } from 'node:fs/promises'
import { basename } from 'node:path'
import { it } from 'node:test'

/** Who reads the tables past `sources.ts`, and why. */
const PAST_THE_SOURCES: Readonly<Record<string, string>> = {
  'sources.ts': 'is where they are read',
  'deletions.ts': 'takes away what is out of sight',
  'captures.ts': 'looks for a capture that was deleted, too',
  'audit.ts': 'looks for any row that names an object',
  'due.ts': 'counts what is to go: what is out of sight goes anyhow, and keeps a run until it has gone',
  'expiry.ts': 'takes away what is out of time',
  'changes.ts': 'names rows that were written; what is out of sight is not there when they are read',
  'state-indexes.ts': 'keeps an index as long as any row has its content',
}

const READS = /\b(?:from|join)\s+(?:state_snapshots|statelens_runs|statelens_steps)\b|selectFrom\(/gi

it('data 3.5: runs, steps and snapshots are read in one place, which knows what is out of sight', async () => {
  const readers: string[] = []
  let files = 0
  for await (const file of glob('src/db/queries/*.ts')) {
    files++
    const source = (await readFile(file, 'utf8')).replaceAll(/\bdelete from [a-z_]+/g, '')
    if (READS.test(source) && !(basename(file) in PAST_THE_SOURCES)) readers.push(file)
    READS.lastIndex = 0
  }
  assert.deepEqual(readers, [])
  assert.ok(files > 10, 'the queries were found')
})
