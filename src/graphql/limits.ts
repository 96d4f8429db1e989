import {
  type ArgumentNode,
  type ASTVisitor,
  type DocumentNode,
  type FieldNode,
  type FragmentDefinitionNode,
  GraphQLError,
  Kind,
  type OperationDefinitionNode,
  type SelectionSetNode,
  type ValidationContext,
  valueFromASTUntyped,
} from 'graphql'
import { DEFAULT_PAGE_SIZE, MAX_PAGE_SIZE } from '../model/page.ts'

/** What one operation may ask for. */
export const LIMITS = {
  /** Of the operation's text. */
  queryBytes: 16_384,
  tokens: 2000,
  depth: 16,
  aliases: 100,
  directives: 50,
  /** Fields after all fragments are put in place. */
  fields: 1000,
  /** Objects in the answer, by the page sizes that are asked for. */
  nodes: 10_000,
}

interface Size {
  depth: number
  fields: number
  aliases: number
  nodes: number
}

type Variables = Readonly<Record<string, unknown>>
type GetFragment = (name: string) => FragmentDefinitionNode | null | undefined

/** The schema's lists take these arguments, and their items lie below these fields. */
const LISTS = new Set(['runs', 'steps', 'snapshots'])
const WRAPPERS = new Set(['edges', 'pageInfo'])
/** One object for each key. */
const BY_KEYS = new Set(['nodes', '_entities'])
const SIZES = new Set(['first', 'last', 'ids', 'representations'])

/** Refuses operations that no page size bounds, before anything runs. Page sizes in variables are left to `refuseLargePages`. */
export function limitsRule(context: ValidationContext): ASTVisitor {
  let directives = 0
  return {
    Directive() {
      directives++
      if (directives === LIMITS.directives + 1) context.reportError(tooComplex())
    },
    OperationDefinition(operation) {
      const { depth, fields, aliases, nodes } = measure(operation, (name) => context.getFragment(name))
      const within =
        depth <= LIMITS.depth && fields <= LIMITS.fields && aliases <= LIMITS.aliases && nodes <= LIMITS.nodes
      if (!within) context.reportError(tooComplex())
    },
  }
}

/** @throws GraphQLError `QUERY_TOO_COMPLEX` when the page sizes in the variables ask for too many objects. */
export function refuseLargePages(
  operation: OperationDefinitionNode,
  document: DocumentNode,
  variables: Variables,
): void {
  const { variableDefinitions } = operation
  const getFragment: GetFragment = (name) =>
    document.definitions.find((node) => node.kind === Kind.FRAGMENT_DEFINITION && node.name.value === name) as
      | FragmentDefinitionNode
      | undefined
  if (!variableDefinitions?.length || !hasVariableSizes(operation, getFragment)) return
  const defaults = variableDefinitions.map(({ variable, defaultValue }) => [
    variable.name.value,
    defaultValue && valueFromASTUntyped(defaultValue),
  ])
  const values: Variables = { ...Object.fromEntries(defaults), ...variables }
  if (measure(operation, getFragment, values).nodes > LIMITS.nodes) throw tooComplex()
}

/** Operations are parsed once and executed often. */
const variableSizes = new WeakMap<OperationDefinitionNode, boolean>()

function hasVariableSizes(operation: OperationDefinitionNode, getFragment: GetFragment): boolean {
  const known = variableSizes.get(operation)
  if (known !== undefined) return known
  let found = false
  const fragments = new Set<string>()
  const look = (selections: SelectionSetNode | undefined) => {
    for (const selection of selections?.selections ?? []) {
      if (selection.kind !== Kind.FRAGMENT_SPREAD) look(selection.selectionSet)
      else if (!fragments.has(selection.name.value)) {
        fragments.add(selection.name.value)
        look(getFragment(selection.name.value)?.selectionSet)
      }
      if (selection.kind !== Kind.FIELD) continue
      found ||= (selection.arguments ?? []).some(({ name, value }) => SIZES.has(name.value) && value.kind !== Kind.INT)
    }
  }
  look(operation.selectionSet)
  variableSizes.set(operation, found)
  return found
}

/**
 * Each fragment is measured once, so a small text that doubles at every level is refused as fast as any other; circular ones
 * are left to the rule that names them.
 */
function measure(operation: OperationDefinitionNode, getFragment: GetFragment, variables?: Variables): Size {
  const fragments = new Map<string, Size>()

  function selectionSize(selections: SelectionSetNode | undefined): Size {
    const size = { depth: 0, fields: 0, aliases: 0, nodes: 0 }
    for (const selection of selections?.selections ?? []) {
      if (selection.kind === Kind.FIELD) add(size, fieldSize(selection))
      else if (selection.kind === Kind.INLINE_FRAGMENT) add(size, selectionSize(selection.selectionSet))
      else add(size, fragmentSize(selection.name.value))
    }
    return size
  }

  function fieldSize(field: FieldNode): Size {
    const inner = selectionSize(field.selectionSet)
    const name = field.name.value
    const counts = field.selectionSet !== undefined && !WRAPPERS.has(name) && !LISTS.has(name)
    return {
      depth: inner.depth + 1,
      fields: inner.fields + 1,
      aliases: inner.aliases + (field.alias ? 1 : 0),
      nodes: (inner.nodes + (counts ? 1 : 0)) * itemCount(field, variables),
    }
  }

  function fragmentSize(name: string): Size {
    const known = fragments.get(name)
    if (known) return known
    fragments.set(name, { depth: 0, fields: 0, aliases: 0, nodes: 0 })
    const size = selectionSize(getFragment(name)?.selectionSet)
    fragments.set(name, size)
    return size
  }

  return selectionSize(operation.selectionSet)
}

function add(total: Size, part: Size): void {
  total.depth = Math.max(total.depth, part.depth)
  total.fields += part.fields
  total.aliases += part.aliases
  total.nodes += part.nodes
}

/** How often what a field selects may be in the answer. @param variables undefined while they are not known: then they count for one. */
function itemCount(field: FieldNode, variables: Variables | undefined): number {
  const name = field.name.value
  const sizes = field.arguments?.map((argument) => sizeAsked(argument, variables)).filter((size) => size !== undefined)
  if (LISTS.has(name)) return sizes?.length ? Math.max(...sizes) : DEFAULT_PAGE_SIZE
  return BY_KEYS.has(name) ? Math.max(0, ...(sizes ?? [])) : 1
}

/** Undefined for arguments that say nothing of a size, null among them: then the default page is read. */
function sizeAsked({ name, value }: ArgumentNode, variables: Variables | undefined): number | undefined {
  if (!SIZES.has(name.value)) return undefined
  if (value.kind === Kind.VARIABLE && variables === undefined) return 1
  const asked = value.kind === Kind.VARIABLE ? variables?.[value.name.value] : valueFromASTUntyped(value, variables)
  if (Array.isArray(asked)) return asked.length
  // A page of less than none is refused where it is read; here it must not make room for others.
  return typeof asked === 'number' ? Math.min(Math.max(asked, 0), MAX_PAGE_SIZE) : undefined
}

export function tooComplex(): GraphQLError {
  const extensions = { code: 'QUERY_TOO_COMPLEX', http: { status: 400 } }
  return new GraphQLError('The operation asks for too much at once', { extensions })
}
