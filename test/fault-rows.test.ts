import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { FAULT_PARTS } from './fault-rows.ts'
import { FAULT_PARTS_E_TO_I } from './fault-rows-e-to-i.ts'

describe('what can go wrong', () => {
  for (const [part, { about, must, tests }] of Object.entries({ ...FAULT_PARTS, ...FAULT_PARTS_E_TO_I })) {
    it(`has a test for each row of part ${part}, ${about}`, async () => {
      assert.deepEqual(
        must.filter((row) => !tests[row]?.length).map((row) => `${part}${row}`),
        [],
      )
      for (const [row, named] of Object.entries(tests)) {
        for (const [file, words] of named) {
          const text = await readFile(join(import.meta.dirname, file), 'utf8')
          assert.ok(text.includes(words), `${part}${row}: ${file} has no test "${words}"`)
        }
      }
    })
  }
})
