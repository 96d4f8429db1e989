import { PostgresQueryCompiler, type RawBuilder } from 'kysely'

/** SQL, and the values for its places in their order. */
export interface Statement {
  readonly text: string
  readonly values: readonly unknown[]
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
}

/** Bounded by the shapes of operations that clients send; were they of endless variety, it starts anew. */
const SHAPES_MAX = 500

/** Statements that come often and differ in little but their values: the text of each shape is made once. */
export function defineStatement<Shape, Name extends string>({
  values: names,
  keyOf,
  build,
}: Form<Shape, Name>): (shape: Shape, values: Places<Name>) => Statement {
  const places = Object.fromEntries(names.map((name) => [name, Symbol(name)])) as Places<Name>
  const texts = new Map<string | number, Text<Name>>()
  return (shape, given) => {
    const key = keyOf(shape)
    let known = texts.get(key)
    if (!known) {
      const { text, values } = compile(build(shape, places))
      known = { text, places: values.map((value) => ({ name: names.find((name) => places[name] === value), value })) }
      if (texts.size === SHAPES_MAX) texts.clear()
      texts.set(key, known)
    }
    return {
      text: known.text,
      values: known.places.map(({ name, value }) => (name === undefined ? value : given[name])),
    }
  }
}

interface Text<Name> {
  readonly text: string
  /** In their order; without a name stands what is the same each time. */
  readonly places: readonly { readonly name: Name | undefined; readonly value: unknown }[]
}

/** What may change something, or hold it: such words in another place only make a read count as more than it is. */
const CHANGES =
  /\b(?:insert|update|delete|merge|truncate|lock|nextval|setval|for share|statelens_capture|pg_\w*lock\w*)\b/i

/** Whether a statement may be executed twice, as it changes nothing. */
export function onlyReads(text: string): boolean {
  return /^\s*(?:select|with)\b/i.test(text) && !CHANGES.test(text)
}
