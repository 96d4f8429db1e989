import { SNAPSHOT_KINDS, type SnapshotFilter } from '../model/snapshot.ts'

/*
 * All that filters ask of a snapshot and that has few values, as one number: an index by run, facet and seq gives a page of any
 * combination, however rare it is, in the order of the list.
 */

const GOLDEN = 4
const SUCCESS = 2
const OBJECT = 1
/** The last one is all that no filter can name. */
const KINDS = [...SNAPSHOT_KINDS, null] as const
const kindUnit = (index: number) => 8 * index

/**
 * The facet of a row of `state_snapshots`. It is the text of an index: another text needs another index, under another name, made by
 * a migration. "Object" is what `snapshot-columns.ts` says of the payload.
 */
export const FACET = `(case kind ${SNAPSHOT_KINDS.map((kind, i) => `when '${kind}' then ${kindUnit(i)}`).join(' ')}
  else ${kindUnit(SNAPSHOT_KINDS.length)} end + case when is_golden then ${GOLDEN} else 0 end
  + case when is_success_state then ${SUCCESS} else 0 end
  + case when storage_uri is not null and not reads_inline then ${OBJECT} else 0 end)`

/** The facets that a filter lets through; null where it asks for nothing that is one. */
export function facetsOf({ kind, isGolden, isSuccessState, storageTier }: SnapshotFilter): readonly number[] | null {
  const flags = [
    chooseFlag(GOLDEN, isGolden),
    chooseFlag(SUCCESS, isSuccessState),
    chooseFlag(OBJECT, storageTier && storageTier === 'OBJECT'),
  ]
  if (kind == null && flags.every((choice) => choice.length === 2)) return null
  const kinds = KINDS.flatMap((name, i) => (kind == null || kind.some((one) => one === name) ? [kindUnit(i)] : []))
  return flags.reduce<number[]>((sums, choice) => sums.flatMap((sum) => choice.map((value) => sum + value)), kinds)
}

function chooseFlag(unit: number, wanted: boolean | null | undefined): readonly number[] {
  return wanted == null ? [0, unit] : [wanted ? unit : 0]
}
