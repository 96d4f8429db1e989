import { inSpan, type Spans } from '../telemetry/spans.ts'
import type { SnapshotReader } from './reader.ts'

/** The same reader, each of whose reads is a span: what fields ask for at the same time is one read, of so many keys. */
export function observedReader(reader: SnapshotReader, spans: Spans): SnapshotReader {
  const read = <T>(name: string, keys: readonly unknown[] | undefined, work: () => Promise<T>) =>
    inSpan(spans, name, { attributes: { 'statelens.batch.size': keys?.length } }, work)
  return {
    loadRuns: (ids, fields) => read('load runs', ids, () => reader.loadRuns(ids, fields)),
    loadSteps: (keys, fields) => read('load steps', keys, () => reader.loadSteps(keys, fields)),
    loadSnapshots: (ids, fields) => read('load snapshots', ids, () => reader.loadSnapshots(ids, fields)),
    pageRuns: (page, options) => read('page runs', undefined, () => reader.pageRuns(page, options)),
    loadRunWithSteps: (id, options) => read('load run with steps', [id], () => reader.loadRunWithSteps(id, options)),
    pageSteps: (ids, options) => read('page steps', ids, () => reader.pageSteps(ids, options)),
    pageSnapshots: (parents, options) => read('page snapshots', parents, () => reader.pageSnapshots(parents, options)),
    loadRunStats: (ids, fields, options) =>
      read('load run stats', ids, () => reader.loadRunStats(ids, fields, options)),
    loadNewestOfSteps: (keys, fields) =>
      read('load newest of steps', keys, () => reader.loadNewestOfSteps(keys, fields)),
    loadNewestOfRuns: (ids, options) => read('load newest of runs', ids, () => reader.loadNewestOfRuns(ids, options)),
    loadNeighbours: (places, options) => read('load neighbours', places, () => reader.loadNeighbours(places, options)),
  }
}
