import fc from 'fast-check'
import {
  BEGIN_POINTS,
  COMMIT_POINTS,
  type CrashPoint,
  DELETE_POINTS,
  DELETE_RUN_POINTS,
  objectPoints,
  TOGETHER_POINTS,
} from '../crashes/crash-points.ts'
import type { Content } from './contents.ts'
import type { StoreKind, Target } from './world.ts'

/** Every way that a state comes in. */
export const WAYS = [
  'mutation',
  'put',
  'chunked',
  'gzip',
  'upload',
  'abandoned upload',
  'old writer',
  'foreign',
] as const
export type Way = (typeof WAYS)[number]

/** Every way that a state is looked at. */
export const LOOKS = ['payload', 'range', 'graphql', 'part', 'value', 'find', 'diff', 'verify', 'list'] as const
export type Look = (typeof LOOKS)[number]

/** Of the states that there are, the one that a number picks. */
type Which = number

export type Operation =
  | {
      readonly do: 'capture'
      readonly way: Way
      readonly run: number
      readonly step: number
      /** Null: none. */
      readonly key: number | null
      readonly content: Content
      /** Until it is to go by itself; null: for ever. One with a key, or by another way than the mutation, never goes. */
      readonly lifeMillis: number | null
    }
  | { readonly do: 'look'; readonly how: Look; readonly which: Which; readonly other: Which }
  | { readonly do: 'repeat'; readonly which: Which; readonly way: 'mutation' | 'put' }
  | { readonly do: 'delete'; readonly which: Which }
  | { readonly do: 'delete run'; readonly run: string }
  | { readonly do: 'approve'; readonly which: Which }
  | { readonly do: 'hold'; readonly run: string; readonly hold: boolean }
  | { readonly do: 'gc' }
  | { readonly do: 'sweep' }
  | { readonly do: 'audit' }

export type Placed = Operation & {
  /** Of the server that is asked. */
  readonly member: number
}

export type Fault =
  | { readonly how: 'reset' | 'refuse' | 'blackhole' | 'silence'; readonly millis: number }
  | { readonly how: 'latency'; readonly millis: number }
  | { readonly how: 'cut'; readonly bytes: number; readonly end: 'rst' | 'fin' }

export type Trouble =
  | { readonly what: 'fault'; readonly target: Target; readonly member: number; readonly fault: Fault }
  | { readonly what: 'kill'; readonly member: number; readonly afterMillis: number }
  | { readonly what: 'crash'; readonly member: number; readonly point: CrashPoint }

/** What is done at once, and what goes wrong meanwhile. */
export interface Round {
  readonly operations: readonly Placed[]
  readonly trouble: Trouble | null
}

export const RUNS = 6
/** The first is held and let go, the second is only ever held. */
const HELD_RUNS = ['run 3', 'run 4'] as const
const MEMBERS = 2

/** Contents that come again: a store has a copy of them. */
const KNOWN: readonly Content[] = Array.from({ length: 6 }, (_, number) => ({
  number,
  sizeBytes: 5000 + 20_000 * number,
}))

/** Weights of sizes: into the row, an object, one with an index, and one of more than one part where a store has parts. */
type SizeWeights = readonly [number, number, number, number]

function anyContent([row, object, indexed, parts]: SizeWeights): fc.Arbitrary<Content> {
  return fc.record({
    number: fc.nat(1_000_000),
    sizeBytes: fc.oneof(
      { weight: row, arbitrary: fc.integer({ min: 40, max: 4000 }) },
      { weight: object, arbitrary: fc.integer({ min: 4200, max: 150_000 }) },
      { weight: indexed, arbitrary: fc.integer({ min: 1_100_000, max: 2_000_000 }) },
      { weight: parts, arbitrary: fc.integer({ min: 9_000_000, max: 12_000_000 }) },
    ),
  })
}

function contentOf(weights: SizeWeights): fc.Arbitrary<Content> {
  return fc.oneof({ weight: 4, arbitrary: anyContent(weights) }, { weight: 1, arbitrary: fc.constantFrom(...KNOWN) })
}

const way = fc.oneof(
  ...WAYS.map((name) => ({
    weight: name === 'foreign' || name === 'abandoned upload' ? 1 : 3,
    arbitrary: fc.constant(name),
  })),
)

/** What histories differ in. */
export interface Manner {
  readonly sizes: SizeWeights
  /** So many of the runs may be deleted. */
  readonly deletedRuns: number
  /** Servers that may be killed, by their places. */
  readonly mortals: readonly number[]
  /** Most operations at once. */
  readonly lanes: number
  /** How many of them are captures, beside 50 others. */
  readonly captures: number
  /** Idempotency keys of a step: of few, most come again. */
  readonly keys: number
}

export const SHORT: Manner = {
  sizes: [40, 45, 6, 1],
  deletedRuns: RUNS,
  mortals: [0, 1],
  lanes: 8,
  captures: 30,
  keys: 10,
}
/** States pile up, and one server lives through all of it. */
export const LONG: Manner = {
  sizes: [400, 100, 4, 1],
  deletedRuns: 1,
  mortals: [1],
  lanes: 32,
  captures: 150,
  keys: 1000,
}

function operationOf({ sizes, deletedRuns, captures, keys }: Manner): fc.Arbitrary<Operation> {
  return fc.oneof(
    {
      weight: captures,
      arbitrary: fc.record({
        do: fc.constant('capture' as const),
        way,
        run: fc.nat(RUNS - 1),
        step: fc.nat(2),
        key: fc.option(fc.nat(keys - 1), { freq: 2 }),
        content: contentOf(sizes),
        lifeMillis: fc.option(fc.integer({ min: 100, max: 3000 }), { freq: 2 }),
      }),
    },
    {
      weight: 27,
      arbitrary: fc.record({
        do: fc.constant('look' as const),
        how: fc.constantFrom(...LOOKS),
        which: fc.nat(),
        other: fc.nat(),
      }),
    },
    {
      weight: 6,
      arbitrary: fc.record({
        do: fc.constant('repeat' as const),
        which: fc.nat(),
        way: fc.constantFrom('mutation' as const, 'put' as const),
      }),
    },
    { weight: 9, arbitrary: fc.record({ do: fc.constant('delete' as const), which: fc.nat() }) },
    {
      weight: 1,
      arbitrary: fc.record({
        do: fc.constant('delete run' as const),
        run: fc.nat(deletedRuns - 1).map((run) => `run ${run}`),
      }),
    },
    { weight: 2, arbitrary: fc.record({ do: fc.constant('approve' as const), which: fc.nat() }) },
    {
      weight: 1,
      arbitrary: fc
        .record({ do: fc.constant('hold' as const), run: fc.constantFrom(...HELD_RUNS), hold: fc.boolean() })
        .map((one) => (one.run === HELD_RUNS[1] ? { ...one, hold: true } : one)),
    },
    { weight: 1, arbitrary: fc.constant({ do: 'gc' as const }) },
    { weight: 3, arbitrary: fc.constant({ do: 'sweep' as const }) },
    { weight: 1, arbitrary: fc.constant({ do: 'audit' as const }) },
  )
}

function placedOf(manner: Manner): fc.Arbitrary<Placed> {
  return fc.tuple(operationOf(manner), fc.nat(MEMBERS - 1)).map(([what, member]): Placed => ({ ...what, member }))
}

const fault: fc.Arbitrary<Fault> = fc.oneof(
  fc.record({
    how: fc.constantFrom('reset' as const, 'refuse' as const, 'blackhole' as const, 'silence' as const),
    millis: fc.integer({ min: 50, max: 1200 }),
  }),
  fc.record({ how: fc.constant('latency' as const), millis: fc.integer({ min: 5, max: 60 }) }),
  fc.record({
    how: fc.constant('cut' as const),
    bytes: fc.integer({ min: 1, max: 40_000 }),
    end: fc.constantFrom('rst' as const, 'fin' as const),
  }),
)

function pointsOf(kind: StoreKind): readonly CrashPoint[] {
  const objects = kind === 's3' ? [...objectPoints('s3'), ...objectPoints('s3 in parts')] : objectPoints('file')
  return [
    ...new Set([
      ...objects,
      ...TOGETHER_POINTS,
      ...BEGIN_POINTS,
      ...COMMIT_POINTS,
      ...DELETE_POINTS[kind],
      ...DELETE_RUN_POINTS,
    ]),
  ]
}

function troubleOf(kind: StoreKind, { mortals }: Manner): fc.Arbitrary<Trouble> {
  const targets: readonly Target[] = kind === 's3' ? ['postgres', 'valkey', 's3'] : ['postgres', 'valkey']
  const points = pointsOf(kind)
  const member = fc.nat(MEMBERS - 1)
  const mortal = fc.constantFrom(...mortals)
  return fc.oneof(
    {
      weight: 4,
      arbitrary: fc.record({ what: fc.constant('fault' as const), target: fc.constantFrom(...targets), member, fault }),
    },
    {
      weight: 1,
      arbitrary: fc.record({ what: fc.constant('kill' as const), member: mortal, afterMillis: fc.nat(60) }),
    },
    {
      weight: 2,
      arbitrary: fc.record({ what: fc.constant('crash' as const), member: mortal, point: fc.constantFrom(...points) }),
    },
  )
}

/** So many rounds, each of some operations at once; every third has trouble. */
export function historyOf(kind: StoreKind, rounds: number, manner: Manner = SHORT): fc.Arbitrary<readonly Round[]> {
  const round: fc.Arbitrary<Round> = fc.record({
    operations: fc.array(placedOf(manner), { minLength: 1, maxLength: manner.lanes, size: 'max' }),
    trouble: fc.oneof({ weight: 2, arbitrary: fc.constant(null) }, { weight: 1, arbitrary: troubleOf(kind, manner) }),
  })
  return fc.array(round, { minLength: rounds, maxLength: rounds, size: 'max' })
}
