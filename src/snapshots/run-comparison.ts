import { AppError } from '../errors.ts'
import { align } from '../json/diff/align.ts'
import { SNAPSHOT_FIELDS, type Snapshot } from '../model/snapshot.ts'
import { STEP_FIELDS, type Step } from '../model/step.ts'
import type { SnapshotReader, StepPageOptions } from './reader.ts'

export const ALIGNMENTS = ['MATCHED', 'ONLY_IN_BASE', 'ONLY_IN_OTHER'] as const
export type Alignment = (typeof ALIGNMENTS)[number]

/** Of each run so many steps are compared at most. */
const COMPARED_STEPS_MAX = 10_000

/** What two runs are compared by. */
export type ComparedStep = Pick<Step, 'runId' | 'stepId' | 'attempt'> & {
  readonly newest?: Pick<Snapshot, 'snapshotId' | 'digest'> | null
}

/** A step of two runs, or of one of them. */
export interface StepPair {
  readonly alignment: Alignment
  readonly base: ComparedStep | null
  readonly other: ComparedStep | null
  /** Whether their newest states are the same bytes; null where a digest is not known, where neither has a state, and for one alone. */
  readonly identical: boolean | null
  /** How many steps of either run are told of, this one included: together they rise from pair to pair. */
  readonly place: readonly [base: number, other: number]
}

export interface RunAlignment {
  /** In the order of both runs; what only the base has comes before what only the other has. */
  readonly pairs: readonly StepPair[]
  /** Where they first differ: a step of one alone, another number of attempts, or another state. */
  readonly firstDivergence: StepPair | null
}

/** Aligns the steps of two runs by their ids, each run in its order. A step that changed places is told at both. */
export function alignRuns(base: readonly ComparedStep[], other: readonly ComparedStep[]): RunAlignment {
  const { places } = align(
    base.map(({ stepId }) => stepId),
    other.map(({ stepId }) => stepId),
  )
  const pairs: StepPair[] = []
  let told = 0
  const tellOthers = (end: number, place: number) => {
    for (; told < end; told++) pairs.push(alone('ONLY_IN_OTHER', other[told], [place, told + 1]))
  }
  for (const [i, step] of base.entries()) {
    const j = places[i] ?? -1
    const partner = other[j]
    if (!partner) {
      pairs.push(alone('ONLY_IN_BASE', step, [i + 1, told]))
      continue
    }
    tellOthers(j, i)
    told = j + 1
    const identical = areIdentical(step, partner)
    pairs.push({ alignment: 'MATCHED', base: step, other: partner, identical, place: [i + 1, told] })
  }
  tellOthers(other.length, base.length)
  return { pairs, firstDivergence: pairs.find(differs) ?? null }
}

function alone(alignment: Alignment, step: ComparedStep | undefined, place: StepPair['place']): StepPair {
  const [base, other] = alignment === 'ONLY_IN_BASE' ? [step ?? null, null] : [null, step ?? null]
  return { alignment, base, other, identical: null, place }
}

function areIdentical({ newest: one }: ComparedStep, { newest: two }: ComparedStep): boolean | null {
  if (!one || !two) return !one === !two ? null : false
  return one.digest === null || two.digest === null ? null : one.digest === two.digest
}

function differs({ base, other, identical }: StepPair): boolean {
  return !base || !other || identical === false || base.attempt !== other.attempt
}

/** The pairs behind a place, which need not be that of a pair: runs grow. */
export function pairsBehind(pairs: readonly StepPair[], place: StepPair['place'] | null): readonly StepPair[] {
  if (place === null) return pairs
  const first = pairs.findIndex(({ place: [base, other] }) => base > place[0] || other > place[1])
  return first === -1 ? [] : pairs.slice(first)
}

const COMPARED: StepPageOptions = {
  page: {
    size: COMPARED_STEPS_MAX,
    backward: false,
    after: null,
    before: null,
    wantsEnds: false,
    wantsTotal: false,
  },
  fields: {
    step: STEP_FIELDS.pick(['runId', 'stepId', 'attempt']),
    newest: SNAPSHOT_FIELDS.pick(['snapshotId', 'digest']),
  },
}

type StepsReader = Pick<SnapshotReader, 'pageSteps'>

async function loadCompared(reader: StepsReader, runIds: readonly [string, string]) {
  const [base, other] = await reader.pageSteps(runIds, COMPARED)
  if (base?.hasNextPage || other?.hasNextPage) {
    throw new AppError('BAD_REQUEST', `Runs of more than ${COMPARED_STEPS_MAX} steps cannot be compared`)
  }
  return [base?.items ?? [], other?.items ?? []] as const
}

/**
 * The steps of two runs beside each other, and by the digests of their newest states, as far as the reader's viewer may know them, which
 * are the same; of a run that is not there none. It is one statement. @throws AppError `BAD_REQUEST` for a run of more than
 * `COMPARED_STEPS_MAX` steps.
 */
export async function compareRuns(reader: StepsReader, base: string, other: string): Promise<RunAlignment> {
  return alignRuns(...(await loadCompared(reader, [base, other])))
}
