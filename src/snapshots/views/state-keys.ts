import { createRunChecks } from '../../json/parts/checked-bytes.ts'
import type { KeyFinder } from '../../json/parts/descent.ts'
import { unkeptRange } from '../../json/parts/key-pass.ts'
import { nameOf } from '../indexes/index-subject.ts'
import type { KeysSubject, KeyTables } from '../indexes/key-tables.ts'
import { createPasses, type LookOptions, type PassLimits } from '../indexes/passes.ts'
import type { Admission } from '../source/admission.ts'
import { checkedRuns, wholeRuns } from './checked-runs.ts'
import type { PartReader } from './part-reader.ts'

/** Objects of many keys: whoever looks first for one that is not near their end has them read to it, once for all who look meanwhile. */
export interface StateKeys {
  /** What one request finds keys by. Its methods throw what `Passes` throw, `OBJECT_CORRUPT`, and what reading throws. */
  finder(state: LookedInto): KeyFinder
  /** Ends what is under way. */
  close(): void
}

/** An indexed state, and what a request has for it. */
export interface LookedInto extends Pick<KeysSubject, 'subject' | 'index'> {
  /** Reads it without a place of its own. */
  readonly reader: Pick<PartReader, 'stream'>
  readonly look: () => LookOptions
}

export interface StateKeysOptions {
  readonly tables: KeyTables
  readonly admission: Pick<Admission, 'indexing'>
  readonly limits?: PassLimits | undefined
}

export function createStateKeys({ tables, admission, limits }: StateKeysOptions): StateKeys {
  const passes = createPasses<void>(admission.indexing, limits)

  async function make(of: KeysSubject, reader: LookedInto['reader'], look: LookOptions): Promise<void> {
    const range = unkeptRange(of.node)
    if (!range) return
    const checks = createRunChecks(of.index.runs, of.index.sizeBytes)
    const run = (tell: (count: number) => void, signal: AbortSignal) => {
      const stored = told(reader.stream(wholeRuns(checks, range), signal), tell)
      return tables.make(of, checkedRuns(stored, checks, range))
    }
    const name = `${nameOf(of.subject)} ${of.node.start}`
    await passes.wait({ name, sizeBytes: range.end - range.start, run }, look)
  }

  return {
    finder: ({ subject, index, reader, look }) => ({
      find: (node, key) => tables.find({ subject, index, node }, key),
      async learn(node, key) {
        const of = { subject, index, node }
        // It may have been made while this caller searched.
        const known = await tables.find(of, key)
        if (known) return known
        await make(of, reader, look())
        return await tables.find(of, key)
      },
    }),
    close: () => passes.close(),
  }
}

async function* told(chunks: AsyncIterable<Buffer>, tell: (count: number) => void): AsyncGenerator<Buffer> {
  for await (const chunk of chunks) {
    tell(chunk.length)
    yield chunk
  }
}
