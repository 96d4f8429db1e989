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
}

/** Bounded by the shapes of operations that clients send; were they of endless variety, it starts anew. */
const SHAPES_MAX = 500

/** Statements that come often and differ in little but their values: the text of each shape is made once. */
export function defineStatement<Shape, Name extends string>({
  values: names,
  keyOf,
  build,
  buildMany,
}: Form<Shape, Name>): (shape: Shape, values: Places<Name>) => Statement {
  const places = Object.fromEntries(names.map((name) => [name, Symbol(name)])) as Places<Name>
  const known = new Map<string | number, Known<Name>>()

  function textOf(query: RawBuilder<unknown>): Text<Name> {
    const { text, values } = compile(query)
    return { text, places: values.map((value) => ({ name: names.find((name) => places[name] === value), value })) }
  }

  function make(shape: Shape): Known<Name> {
    const one = textOf(build(shape, places))
    const many = buildMany?.(shape, places)
    return { ...one, together: many && togetherBy(one, textOf(many)) }
  }

  return (shape, given) => {
    const key = keyOf(shape)
    let found = known.get(key)
    if (!found) {
      found = make(shape)
      if (known.size === SHAPES_MAX) known.clear()
      known.set(key, found)
    }
    const { text, places, together } = found
    return { text, values: places.map(({ name, value }) => (name === undefined ? value : given[name])), together }
  }
}

interface Text<Name> {
  readonly text: string
  /** In their order; without a name stands what is the same each time. */
  readonly places: readonly { readonly name: Name | undefined; readonly value: unknown }[]
}

interface Known<Name> extends Text<Name> {
  readonly together: Together | undefined
}

function togetherBy<Name>(one: Text<Name>, many: Text<Name>): Together {
  const at = many.places.map(({ name }) => one.places.findIndex((place) => place.name === name))
  return {
    join: (all) => ({
      text: many.text,
      values: many.places.map(({ name, value }, index) =>
        name === undefined ? value : all.map((values) => values[at[index] as number]),
      ),
    }),
  }
}

/** What may change something, or hold it: such words in another place only make a read count as more than it is. */
const CHANGES =
  /\b(?:insert|update|delete|merge|truncate|lock|nextval|setval|for share|statelens_capture|pg_\w*lock\w*)\b/i

/** Whether a statement may be executed twice, as it changes nothing. */
export function onlyReads(text: string): boolean {
  return /^\s*(?:select|with)\b/i.test(text) && !CHANGES.test(text)
}
