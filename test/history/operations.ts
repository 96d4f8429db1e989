import fc from 'fast-check'
import { type CrashPoint, DELETE_POINTS, INLINE_POINTS, OBJECT_POINTS, UPLOAD_POINTS } from '../crashes/crash-points.ts'
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
    }
  | { readonly do: 'look'; readonly how: Look; readonly which: Which; readonly other: Which }
  | { readonly do: 'repeat'; readonly which: Which; readonly way: 'mutation' | 'put' }
  | { readonly do: 'delete'; readonly which: Which }
  | { readonly do: 'delete run'; readonly run: number }
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
const MEMBERS = 2
const LANES = 8

/** Contents that come again: a store has a copy of them. */
const KNOWN: readonly Content[] = Array.from({ length: 6 }, (_, number) => ({
  number,
  sizeBytes: 5000 + 20_000 * number,
}))

const anyContent: fc.Arbitrary<Content> = fc.record({
  number: fc.nat(1_000_000),
  sizeBytes: fc.oneof(
    { weight: 8, arbitrary: fc.integer({ min: 40, max: 4000 }) },
    { weight: 9, arbitrary: fc.integer({ min: 4200, max: 150_000 }) },
    { weight: 2, arbitrary: fc.integer({ min: 1_100_000, max: 2_000_000 }) },
    // More than one part, in a store that has parts.
    { weight: 1, arbitrary: fc.integer({ min: 9_000_000, max: 12_000_000 }) },
  ),
})

const content = fc.oneof({ weight: 4, arbitrary: anyContent }, { weight: 1, arbitrary: fc.constantFrom(...KNOWN) })

const way = fc.oneof(
  ...WAYS.map((name) => ({
    weight: name === 'foreign' || name === 'abandoned upload' ? 1 : 3,
    arbitrary: fc.constant(name),
  })),
)

const operation: fc.Arbitrary<Operation> = fc.oneof(
  {
    weight: 30,
    arbitrary: fc.record({
      do: fc.constant('capture' as const),
      way,
      run: fc.nat(RUNS - 1),
      step: fc.nat(2),
      key: fc.option(fc.nat(40), { freq: 2 }),
      content,
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
  { weight: 1, arbitrary: fc.record({ do: fc.constant('delete run' as const), run: fc.nat(RUNS - 1) }) },
  { weight: 3, arbitrary: fc.constant({ do: 'sweep' as const }) },
  { weight: 1, arbitrary: fc.constant({ do: 'audit' as const }) },
)

const placed: fc.Arbitrary<Placed> = fc
  .tuple(operation, fc.nat(MEMBERS - 1))
  .map(([what, member]): Placed => ({ ...what, member }))

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

function troubleOf(kind: StoreKind): fc.Arbitrary<Trouble> {
  const targets: readonly Target[] = kind === 's3' ? ['postgres', 'valkey', 's3'] : ['postgres', 'valkey']
  const objects = kind === 's3' ? [...OBJECT_POINTS.s3, ...OBJECT_POINTS['s3 in parts']] : OBJECT_POINTS.file
  const points = [...new Set([...INLINE_POINTS, ...objects, ...UPLOAD_POINTS, ...DELETE_POINTS[kind]])]
  const member = fc.nat(MEMBERS - 1)
  return fc.oneof(
    {
      weight: 4,
      arbitrary: fc.record({ what: fc.constant('fault' as const), target: fc.constantFrom(...targets), member, fault }),
    },
    {
      weight: 1,
      arbitrary: fc.record({ what: fc.constant('kill' as const), member, afterMillis: fc.nat(60) }),
    },
    {
      weight: 2,
      arbitrary: fc.record({ what: fc.constant('crash' as const), member, point: fc.constantFrom(...points) }),
    },
  )
}

/** So many rounds, each of some operations at once; every third has trouble. */
export function historyOf(kind: StoreKind, rounds: number): fc.Arbitrary<readonly Round[]> {
  const round: fc.Arbitrary<Round> = fc.record({
    operations: fc.array(placed, { minLength: 1, maxLength: LANES, size: 'max' }),
    trouble: fc.oneof({ weight: 2, arbitrary: fc.constant(null) }, { weight: 1, arbitrary: troubleOf(kind) }),
  })
  return fc.array(round, { minLength: rounds, maxLength: rounds, size: 'max' })
}
