import { PostgresQueryCompiler, type RawBuilder } from 'kysely'
import type { Together } from './together.ts'

/** SQL, and the values for its places in their order. */
export interface Statement {
  readonly text: string
  readonly values: readonly unknown[]
  /** What it may be asked together with: those that have the same. */
  readonly together?: Together | undefined
}

const compiler = new PostgresQueryCompiler()

export function compile(query: RawBuilder<unknown>): Statement {
  const { sql: text, parameters: values } = compiler.compileQuery(query.toOperationNode() as never, NO_ID)
  return { text, values }
}

const NO_ID = { queryId: '' }

/** By the names of values: where they stand in a statement, or what they are. */
export type Places<Name extends string> = Readonly<Record<Name, unknown>>

export interface Form<Shape, Name extends string> {
  /** What is put in each time. */
  readonly values: readonly Name[]
  /** Tells shapes apart. */
  readonly keyOf: (shape: Shape) => string | number
  readonly build: (shape: Shape, places: Places<Name>) => RawBuilder<unknown>
  /**
   * One statement for many: in the place of each value stands an array of them, and before each row the number of whose it is, from 1.
   * Undefined where each is to be asked alone; so are all when it is left out.
   */
  readonly buildMany?: (shape: Shape, places: Places<Name>) => RawBuilder<unknown> | undefined
  /** The same where values are dear to bring into arrays: each has a place of its own, in a statement for that many. */
  readonly buildEach?: (shape: Shape, all: readonly Places<Name>[]) => RawBuilder<unknown> | undefined
  /** By which texts they are then put in order: who takes locks in one order never waits in a circle. */
  readonly orderBy?: readonly Name[]
}

/** Bounded by the shapes of operations that clients send; were they of endless variety, it starts anew. */
const SHAPES_MAX = 500

/** Statements that come often and differ in little but their values: the text of each shape is made once. */
export function defineStatement<Shape, Name extends string>(
  form: Form<Shape, Name>,
): (shape: Shape, values: Places<Name>) => Statement {
  const known = new Map<string | number, Known<Name>>()

  function make(shape: Shape): Known<Name> {
    const own = placesOf(form.values, 0)
    const one = textOf(form.build(shape, own.places), own.known)
    return { ...one, together: togetherBy(form, shape, one) }
  }

  return (shape, values) => {
    const key = form.keyOf(shape)
    let found = known.get(key)
    if (!found) {
      found = make(shape)
      if (known.size === SHAPES_MAX) known.clear()
      known.set(key, found)
    }
    const { text, places, together } = found
    return { text, values: places.map(({ name, value }) => (name === undefined ? value : values[name])), together }
  }
}

interface Place<Name> {
  /** Undefined where the same value stands each time. */
  readonly name: Name | undefined
  readonly value: unknown
  /** Which one it belongs to, from 0, where each has places of its own. */
  readonly index: number
}

interface Text<Name> {
  readonly text: string
  /** In their order. */
  readonly places: readonly Place<Name>[]
}

interface Known<Name> extends Text<Name> {
  readonly together: Together | undefined
}

/** Marks that stand where values will, and what each of them means. */
function placesOf<Name extends string>(names: readonly Name[], index: number) {
  const marks = names.map((name) => [name, Symbol(name)] as const)
  const known = marks.map(([name, mark]) => [mark, { name, value: undefined, index }] as const)
  return { places: Object.fromEntries(marks) as Places<Name>, known: new Map<unknown, Place<Name>>(known) }
}

function textOf<Name>(query: RawBuilder<unknown>, known: ReadonlyMap<unknown, Place<Name>>): Text<Name> {
  const { text, values } = compile(query)
  return { text, places: values.map((value) => known.get(value) ?? { name: undefined, value, index: 0 }) }
}

function togetherBy<Shape, Name extends string>(
  form: Form<Shape, Name>,
  shape: Shape,
  one: Text<Name>,
): Together | undefined {
  const at = new Map(one.places.map(({ name }, index) => [name, index]))
  const given: Given<Name> = (values, name) => values[at.get(name) as number]
  const { orderBy } = form
  const join = joinMany(form, shape, given) ?? joinEach(form, shape, given)
  return join && { join, order: orderBy && createOrder(orderBy, given) }
}

function createOrder<Name>(names: readonly Name[], given: Given<Name>): NonNullable<Together['order']> {
  return (a, b) => {
    for (const name of names) {
      const [one, other] = [given(a, name) ?? '', given(b, name) ?? ''] as [string, string]
      if (one !== other) return one < other ? -1 : 1
    }
    return 0
  }
}

type Values = readonly unknown[]
/** What one gave for a name. */
type Given<Name> = (values: Values, name: Name) => unknown
type Join = Together['join']

function joinMany<Shape, Name extends string>(
  { values: names, buildMany }: Form<Shape, Name>,
  shape: Shape,
  given: Given<Name>,
): Join | undefined {
  const { places, known } = placesOf(names, 0)
  const query = buildMany?.(shape, places)
  if (!query) return undefined
  const many = textOf(query, known)
  return (all) => ({
    text: many.text,
    values: many.places.map(({ name, value }) =>
      name === undefined ? value : all.map((values) => given(values, name)),
    ),
  })
}

function joinEach<Shape, Name extends string>(
  { values: names, buildEach }: Form<Shape, Name>,
  shape: Shape,
  given: Given<Name>,
): Join | undefined {
  function make(count: number): Text<Name> | undefined {
    const own = Array.from({ length: count }, (_, index) => placesOf(names, index))
    const query = buildEach?.(
      shape,
      own.map(({ places }) => places),
    )
    return query && textOf(query, new Map(own.flatMap(({ known }) => [...known])))
  }
  const two = make(2)
  if (!two) return undefined
  const texts: (Text<Name> | undefined)[] = [undefined, undefined, two]
  return (all) => {
    texts[all.length] ??= make(all.length)
    const { text, places } = texts[all.length] as Text<Name>
    return {
      text,
      values: places.map(({ name, value, index }) => (name === undefined ? value : given(all[index] as Values, name))),
    }
  }
}

/** What may change something, or hold it: such words in another place only make a read count as more than it is. */
const CHANGES =
  /\b(?:insert|update|delete|merge|truncate|lock|nextval|setval|for share|statelens_capture|pg_\w*lock\w*)\b/i

/** Whether a statement may be executed twice, as it changes nothing. */
export function onlyReads(text: string): boolean {
  return /^\s*(?:select|with)\b/i.test(text) && !CHANGES.test(text)
}
