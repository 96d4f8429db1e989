import type { Fields, FieldTable } from '../../src/model/fields.ts'
import type { Page } from '../../src/model/page.ts'
import { RUN_FIELDS, RUN_STATS_FIELDS, type Run } from '../../src/model/run.ts'
import { SNAPSHOT_FIELDS, type Snapshot } from '../../src/model/snapshot.ts'
import { STEP_FIELDS, type Step } from '../../src/model/step.ts'
import type { SnapshotReader, StepFields } from '../../src/snapshots/reader.ts'

/** A reader whose rows throw where a field is read that was not asked for: by itself that would be undefined, and nobody would know. */
export function createStrictReader(reader: SnapshotReader): SnapshotReader {
  return {
    ...reader,
    loadRuns: async (ids, fields) => (await reader.loadRuns(ids, fields)).map(guardRun(fields)),
    loadSteps: async (keys, fields) =>
      (await reader.loadSteps(keys, fields)).map(guardStep({ step: fields, newest: null })),
    loadSnapshots: async (ids, fields) => (await reader.loadSnapshots(ids, fields)).map(guardSnapshot(fields)),
    pageRuns: async (page, options) => guardPage(await reader.pageRuns(page, options), guardRun(options.fields)),
    async loadRunWithSteps(runId, options) {
      const found = await reader.loadRunWithSteps(runId, options)
      if (!found) return null
      return { run: guardRun(options.run)(found.run), steps: guardPage(found.steps, guardStep(options.fields)) }
    },
    pageSteps: async (runIds, options) =>
      (await reader.pageSteps(runIds, options)).map((page) => guardPage(page, guardStep(options.fields))),
    pageSnapshots: async (parents, options) =>
      (await reader.pageSnapshots(parents, options)).map((page) => guardPage(page, guardSnapshot(options.fields))),
    loadRunStats: async (runIds, fields) =>
      (await reader.loadRunStats(runIds, fields)).map((stats) => guard(stats, RUN_STATS_FIELDS, fields)),
    loadNewestOfSteps: async (keys, fields) =>
      (await reader.loadNewestOfSteps(keys, fields)).map(ifThere(guardSnapshot(fields))),
    loadNewestOfRuns: async (runIds, options) =>
      (await reader.loadNewestOfRuns(runIds, options)).map(ifThere(guardSnapshot(options.fields))),
    loadNeighbours: async (places, options) =>
      (await reader.loadNeighbours(places, options)).map(ifThere(guardSnapshot(options.fields))),
  }
}

const guardRun = (fields: Fields<Run>) => (run: Run) => guard(run, RUN_FIELDS, fields)
const guardSnapshot = (fields: Fields<Snapshot>) => (snapshot: Snapshot) => guard(snapshot, SNAPSHOT_FIELDS, fields)

function guardStep({ step: fields, newest: newestFields }: StepFields) {
  return (step: Step): Step => {
    const { newest } = step
    if (newest && newestFields !== null) guardSnapshot(newestFields)(newest)
    return guard(step, STEP_FIELDS, fields)
  }
}

function guardPage<T, P extends Page<T>>(page: P, guardItem: (item: T) => T): P {
  return { ...page, items: page.items.map(guardItem) }
}

function ifThere<T>(change: (value: T) => T): (value: T | null) => T | null {
  return (value) => value && change(value)
}

function guard<T extends object>(row: T, table: FieldTable<T>, fields: Fields<T>): T {
  const asked = new Set<string>(table.chosen(fields))
  for (const name of table.names.filter((field) => !asked.has(field) && !(field in row))) {
    const get = () => {
      throw new Error(`${name} was read, and not asked for`)
    }
    Object.defineProperty(row, name, { get, enumerable: false, configurable: true })
  }
  return row
}
