import type { Fields } from '../model/fields.ts'
import { SNAPSHOT_FIELDS, type Snapshot } from '../model/snapshot.ts'
import { maskPreview } from './mask-preview.ts'
import type { Reading } from './may-read.ts'
import type { SnapshotReader } from './reader.ts'

/** What the decision is made by, and what a preview is masked by. */
const NEEDED = SNAPSHOT_FIELDS.pick(['piiTags', 'redactionPolicy'])

/**
 * The same reads, of which nothing tells what is hidden in states that their viewer may not have whole: neither how much it is, nor
 * by which digest one could try out what it might be.
 */
export function createSeenReader(reader: SnapshotReader, reading: (snapshot: Snapshot) => Reading): SnapshotReader {
  const alsoNeeded = (fields: Fields<Snapshot>) => fields | NEEDED
  const see = (snapshot: Snapshot) => seenAs(snapshot, reading(snapshot))
  const seeIfThere = (snapshot: Snapshot | null) => snapshot && see(snapshot)
  const seeStep = <T extends { readonly newest?: Snapshot | null }>(step: T): T =>
    step.newest ? { ...step, newest: see(step.newest) } : step
  const stepFields = <T extends { readonly newest: Fields<Snapshot> | null }>(fields: T): T =>
    fields.newest === null ? fields : { ...fields, newest: alsoNeeded(fields.newest) }

  return {
    ...reader,
    loadSnapshots: async (ids, fields) => (await reader.loadSnapshots(ids, alsoNeeded(fields))).map(see),
    async loadRunWithSteps(runId, options) {
      const found = await reader.loadRunWithSteps(runId, { ...options, fields: stepFields(options.fields) })
      return found && { ...found, steps: { ...found.steps, items: found.steps.items.map(seeStep) } }
    },
    async pageSteps(runIds, options) {
      const pages = await reader.pageSteps(runIds, { ...options, fields: stepFields(options.fields) })
      return pages.map((page) => ({ ...page, items: page.items.map(seeStep) }))
    },
    async pageSnapshots(parents, options) {
      const pages = await reader.pageSnapshots(parents, { ...options, fields: alsoNeeded(options.fields) })
      return pages.map((page) => ({ ...page, items: page.items.map(see) }))
    },
    loadRunStats: (runIds, fields) => reader.loadRunStats(runIds, fields, { untaggedOnly: true }),
    loadNewestOfSteps: async (keys, fields) =>
      (await reader.loadNewestOfSteps(keys, alsoNeeded(fields))).map(seeIfThere),
    async loadNewestOfRuns(runIds, { point, fields }) {
      return (await reader.loadNewestOfRuns(runIds, { point, fields: alsoNeeded(fields) })).map(seeIfThere)
    },
    async loadNeighbours(places, { side, fields }) {
      return (await reader.loadNeighbours(places, { side, fields: alsoNeeded(fields) })).map(seeIfThere)
    },
  }
}

/** A row without what it tells of the parts of its state that are not for the viewer. */
export function seenAs(snapshot: Snapshot, reading: Reading): Snapshot {
  if (reading === 'whole') return snapshot
  const preview = reading === 'no' ? null : maskPreview(snapshot.preview, reading.masked)
  return { ...snapshot, preview, sizeBytes: null, digest: null, digestOf: null, inlinePayload: null, row: snapshot }
}
