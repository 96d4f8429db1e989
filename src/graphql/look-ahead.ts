import {
  type FieldNode,
  type FragmentDefinitionNode,
  type GraphQLResolveInfo,
  Kind,
  type SelectionSetNode,
} from 'graphql'
import type { Fields, FieldTable } from '../model/fields.ts'

type Fragments = GraphQLResolveInfo['fragments']

/** What an operation selects below a field. On which types its fragments are is not looked at: it may name too much. */
export interface Selection {
  /** The fields that it is below of. */
  readonly nodes: readonly FieldNode[]
  /** Nodes of each selected field, by its name; aliases of one field stand together. */
  readonly fields: ReadonlyMap<string, readonly FieldNode[]>
  /** The selection below one of them; undefined when it is not selected. */
  below(...path: readonly string[]): Selection | undefined
  /** What either of the two selects. */
  with(other: Selection): Selection
}

/** Operations are planned once and executed often, so what was seen of a field is kept as long as its plan. */
const seen = new WeakMap<readonly FieldNode[], Selection>()

export function selectionOf({
  fieldNodes,
  fragments,
}: Pick<GraphQLResolveInfo, 'fieldNodes' | 'fragments'>): Selection {
  return selectionBelow(fieldNodes, fragments)
}

function selectionBelow(nodes: readonly FieldNode[], fragments: Fragments): Selection {
  const known = seen.get(nodes)
  if (known) return known
  const made = createSelection(nodes, fragments)
  seen.set(nodes, made)
  return made
}

function createSelection(nodes: readonly FieldNode[], fragments: Fragments): Selection {
  const fields = new Map<string, FieldNode[]>()
  for (const { selectionSet } of nodes) collect(selectionSet, fragments, fields)
  const selection: Selection = {
    nodes,
    fields,
    below(name, ...rest) {
      const below = name === undefined ? undefined : fields.get(name)
      if (!below) return name === undefined ? selection : undefined
      const next = selectionBelow(below, fragments)
      return rest.length === 0 ? next : next.below(...rest)
    },
    with: (other) => createSelection([...nodes, ...other.nodes], fragments),
  }
  return selection
}

function collect(set: SelectionSetNode | undefined, fragments: Fragments, fields: Map<string, FieldNode[]>): void {
  for (const selection of set?.selections ?? []) {
    if (selection.kind === Kind.FIELD) {
      const name = selection.name.value
      fields.set(name, [...(fields.get(name) ?? []), selection])
    } else collect(bodyOf(selection, fragments), fragments, fields)
  }
}

function bodyOf(
  selection: Exclude<SelectionSetNode['selections'][number], FieldNode>,
  fragments: Fragments,
): SelectionSetNode | undefined {
  if (selection.kind === Kind.INLINE_FRAGMENT) return selection.selectionSet
  const fragment: FragmentDefinitionNode | undefined = fragments[selection.name.value]
  return fragment?.selectionSet
}

/** For each schema field that is not made from the field of its own name alone: the fields that it is made from. */
export type Needs<T> = { readonly [field: string]: readonly (keyof T & string)[] }

/**
 * Tells which fields of `T` the resolvers of its type need for a selection.
 * @param always the fields that are needed whatever is selected, such as keys.
 */
export function createNeeds<T>(
  table: FieldTable<T>,
  always: readonly (keyof T & string)[],
  needs: Needs<T>,
): (selection: Selection) => Fields<T> {
  const known = new WeakMap<Selection, number>()
  return (selection) => {
    const found = known.get(selection)
    if (found !== undefined) return found
    const names = [...selection.fields.keys()].flatMap((name): readonly string[] => needs[name] ?? [name])
    const fields = table.pick([...always, ...names])
    known.set(selection, fields)
    return fields
  }
}

/** Whether a field is selected, by this path from the selection on. */
export function isAskedFor(selection: Selection, ...path: readonly [string, ...string[]]): boolean {
  const name = path.at(-1) as string
  return selection.below(...path.slice(0, -1))?.fields.has(name) === true
}

const items = new WeakMap<Selection, Selection>()

/** The selection of a connection's items, by its edges and its nodes; an empty one when only its page is asked for. */
export function itemsOf(connection: Selection): Selection {
  const known = items.get(connection)
  if (known) return known
  const ofEdges = connection.below('edges', 'node')
  const ofNodes = connection.below('nodes')
  const made = ofEdges && ofNodes ? ofEdges.with(ofNodes) : (ofEdges ?? ofNodes ?? NOTHING)
  items.set(connection, made)
  return made
}

const NOTHING: Selection = { nodes: [], fields: new Map(), below: () => undefined, with: (other) => other }
