import fc from 'fast-check'
import { checkAll } from './final.ts'
import { historyOf, type Round } from './operations.ts'
import { createStage, playRound, type Stage } from './play.ts'
import { openWorld, type StoreKind, type World } from './world.ts'

export interface HistoryOptions {
  readonly kind: StoreKind
  readonly seed: number
  /** At least so many. */
  readonly operations: number
  /** Ends it early, and well. */
  readonly signal?: AbortSignal
  /** Makes another world of the new one, before its servers start. */
  readonly prepare?: (world: World) => Promise<void>
}

export interface Played {
  readonly operations: number
  /** States that were read and hashed in the end. */
  readonly states: number
  readonly counts: ReadonlyMap<string, number>
  /** Errors that nothing but a busy machine explains. */
  readonly unexplained: number
}

/** Fewer than there ever are. */
const OPERATIONS_A_ROUND = 2.5

/** The same rounds for the same seed. */
export function roundsOf({ kind, seed, operations }: Pick<HistoryOptions, 'kind' | 'seed' | 'operations'>) {
  const most = Math.ceil(operations / OPERATIONS_A_ROUND)
  const [history = []] = fc.sample(historyOf(kind, most), { seed, numRuns: 1 })
  let left = operations
  const isOver = history.findIndex((round) => {
    left -= round.operations.length
    return left <= 0
  })
  return isOver === -1 ? history : history.slice(0, isOver + 1)
}

/**
 * Plays a history in a world of its own, to its end. The seed gives the same operations, faults and kills again; what of them meets
 * what is up to the machine.
 * @throws Error whose cause is the broken promise, and which says how to play it again.
 */
export async function playHistory(options: HistoryOptions): Promise<Played> {
  const { kind, seed, prepare, signal } = options
  const rounds = roundsOf(options)
  await using world = await openWorld({ kind })
  await prepare?.(world)
  await world.startAll()
  const stage = createStage(world)
  let at = 0
  try {
    for (; at < rounds.length && !signal?.aborted; at++) await playRound(stage, rounds[at] as Round)
    const states = await checkAll(stage)
    return {
      operations: countOperations(rounds.slice(0, at)),
      states,
      counts: stage.counts,
      unexplained: stage.weather.unexplained.length,
    }
  } catch (error) {
    throw new Error(describe({ kind, seed, operations: options.operations }, stage, rounds[at]), { cause: error })
  }
}

export function countOperations(rounds: readonly Round[]): number {
  return rounds.reduce((sum, { operations }) => sum + operations.length, 0)
}

function describe(
  options: Pick<HistoryOptions, 'kind' | 'seed' | 'operations'>,
  { counts }: Stage,
  round: Round | undefined,
): string {
  const { kind, seed, operations } = options
  const again = `npm run fuzz -- history --store ${kind} --count 1 --seed ${seed} --operations ${operations}`
  return `Broken in ${JSON.stringify(round)}\nafter ${JSON.stringify(Object.fromEntries(counts))}\nto play it again: ${again}`
}
