import type { Rows } from '../../src/db/connect.ts'
import { pageRuns } from '../../src/db/queries/run-lists.ts'
import { pageSnapshots } from '../../src/db/queries/snapshot-lists.ts'
import { pageSteps } from '../../src/db/queries/steps.ts'
import type { Page, PageRequest } from '../../src/model/page.ts'
import { RUN_FIELDS, RUN_ORDERS, type RunFilter } from '../../src/model/run.ts'
import { SNAPSHOT_METADATA, SNAPSHOT_ORDERS, type SnapshotFilter } from '../../src/model/snapshot.ts'
import { STEP_FIELDS, stepPosition } from '../../src/model/step.ts'
import { GIANT, madeAt, PARENT, type Scale } from './many-rows.ts'

/** A list of the schema, over the rows of `fillMany`. */
export interface ListOfMany {
  readonly name: string
  /** Whether no index has it in its order: what lies far off on the way is gathered from an index, and then sorted. */
  readonly isGathered: boolean
  /** A page of it: the keys of its items. */
  read(db: Rows, page: PageRequest): Promise<Page<readonly string[]>>
}

/** Every list, filter and order that the schema has. */
export function listsOfMany(scale: Scale): ListOfMany[] {
  return [...runLists(scale), ...snapshotLists(scale), stepList]
}

const TEAM = { key: 'team', value: 'search' }

function runLists({ runs }: Scale): ListOfMany[] {
  const filters: readonly RunFilter[] = [
    {},
    { status: ['SUCCEEDED'] },
    { status: ['FAILED'] },
    { status: ['FAILED', 'TIMED_OUT', 'SUCCEEDED'] },
    { status: ['CANCELED'] },
    { workflowName: 'early' },
    { workflowName: 'workflow-7' },
    { workflowName: 'nowhere' },
    { tags: [{ key: 'env', value: 'prod' }] },
    { tags: [{ key: 'age', value: 'early' }] },
    { tags: [{ key: 'rare', value: 'yes' }] },
    { tags: [{ key: 'rare', value: 'no' }] },
    { tags: [TEAM, { key: 'env', value: 'prod' }] },
    { tags: [TEAM, { key: 'rare', value: 'yes' }] },
    { parentRunId: PARENT },
    { parentRunId: 'run-1' },
    { hasErrors: true },
    { hasErrors: false },
    { createdFrom: madeAt(Math.floor(runs / 2)) },
    { createdBefore: madeAt(Math.floor(runs / 2)) },
    { createdFrom: madeAt(100), createdBefore: madeAt(110) },
    { search: 'run-' },
    { search: `run-${runs - 5}` },
    { search: 'run-77' },
    { search: 'workflow-1' },
    { search: 'giant' },
    { search: 'nobody' },
    { status: ['FAILED'], tags: [TEAM] },
    { status: ['RUNNING'], workflowName: 'workflow-7' },
    { hasErrors: true, createdBefore: madeAt(Math.floor(runs / 2)) },
  ]
  return filters.flatMap((filter) =>
    RUN_ORDERS.map((order) => ({
      name: `runs ${JSON.stringify(filter)} ${order}`,
      isGathered: filter.search != null,
      async read(db: Rows, page: PageRequest) {
        const { items, ...ends } = await pageRuns(db, page, { filter, order, fields: RUN_FIELDS.all })
        return { ...ends, items: items.map(({ createdAt, runId }) => [createdAt, runId]) }
      },
    })),
  )
}

function snapshotLists({ snapshotsOfGiant }: Scale): ListOfMany[] {
  const middle = Math.floor(snapshotsOfGiant / 2)
  const filters: readonly SnapshotFilter[] = [
    {},
    { kind: ['OUTPUT'] },
    { kind: ['ERROR'] },
    { kind: ['INPUT', 'ERROR', 'CHECKPOINT'] },
    { kind: [] },
    { stepId: 'step-3' },
    { stepId: 'nowhere' },
    { isGolden: true },
    { isGolden: false },
    { isSuccessState: true },
    { isSuccessState: false },
    { storageTier: 'OBJECT' },
    { storageTier: 'INLINE' },
    { kind: ['ERROR'], isGolden: true, storageTier: 'OBJECT', isSuccessState: true },
    { createdFrom: madeAt(middle), createdBefore: madeAt(middle + 10) },
    { createdFrom: madeAt(middle), createdBefore: madeAt(middle + 10), isGolden: true },
  ]
  const of = (filter: SnapshotFilter, order: (typeof SNAPSHOT_ORDERS)[number], isGathered = false): ListOfMany => ({
    name: `snapshots ${JSON.stringify(filter)} ${order}`,
    isGathered,
    async read(db, page) {
      const options = { page, filter, order, fields: SNAPSHOT_METADATA }
      const [found] = await pageSnapshots(db, [{ runId: GIANT }], options)
      return keysOf(found, ({ seq }) => [String(seq)])
    },
  })
  const ofStep = (order: (typeof SNAPSHOT_ORDERS)[number]): ListOfMany => ({
    name: `snapshots of a step ${order}`,
    isGathered: false,
    async read(db, page) {
      const options = { page, filter: {}, order, fields: SNAPSHOT_METADATA }
      const [found] = await pageSnapshots(db, [{ runId: GIANT, stepId: 'step-3' }], options)
      return keysOf(found, ({ seq }) => [String(seq)])
    },
  })
  return [
    ...filters.flatMap((filter) => SNAPSHOT_ORDERS.map((order) => of(filter, order))),
    // Read from the side where the time begins or ends.
    of({ createdBefore: madeAt(middle) }, 'SEQ_ASC'),
    of({ createdFrom: madeAt(middle) }, 'SEQ_DESC'),
    // And from the other one.
    of({ createdFrom: madeAt(middle) }, 'SEQ_ASC', true),
    of({ createdBefore: madeAt(middle) }, 'SEQ_DESC', true),
    ...SNAPSHOT_ORDERS.map(ofStep),
  ]
}

const stepList: ListOfMany = {
  name: 'steps with their newest snapshots',
  isGathered: false,
  async read(db, page) {
    const fields = { step: STEP_FIELDS.all, newest: SNAPSHOT_METADATA }
    const [found] = await pageSteps(db, [GIANT], { page, fields })
    return keysOf(found, stepPosition)
  },
}

function keysOf<T>(page: Page<T> | undefined, keyOf: (item: T) => readonly string[]): Page<readonly string[]> {
  if (!page) throw new Error('one page for each parent')
  return { ...page, items: page.items.map(keyOf) }
}
