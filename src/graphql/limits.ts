import {
  type ASTVisitor,
  type FieldNode,
  type FragmentDefinitionNode,
  GraphQLError,
  Kind,
  Lexer,
  type OperationDefinitionNode,
  type SelectionSetNode,
  Source,
  TokenKind,
  type ValidationContext,
} from 'graphql'

/** What one operation may ask for. */
export interface Limits {
  /** Bytes of the operation's text. */
  readonly queryBytes: number
  readonly tokens: number
  readonly depth: number
  readonly aliases: number
  readonly directives: number
  /** Fields of the text, after all fragments are put in place. */
  readonly fields: number
  /** Objects in the answer, by the sizes of the pages that are asked for. */
  readonly nodes: number
  /** Fields in the answer: each as often as the object that it is of. */
  readonly values: number
  /** Payloads that are read from storage to verify them. */
  readonly verifications: number
  /** Reads of places in states: one each, a page of children as well; a page of a search counts as many. */
  readonly parts: number
  /** Bytes of the answer but for large payloads, which are streamed: known only as they are read. */
  readonly bytes: number
}

export const DEFAULT_LIMITS: Limits = {
  queryBytes: 16_384,
  tokens: 2000,
  depth: 16,
  aliases: 100,
  directives: 50,
  fields: 1000,
  nodes: 25_000,
  values: 500_000,
  verifications: 100,
  parts: 2000,
  bytes: 67_108_864,
}

const THINGS: Readonly<Record<keyof Limits, string>> = {
  queryBytes: 'bytes of text',
  tokens: 'tokens',
  depth: 'levels',
  aliases: 'aliases',
  directives: 'directives',
  fields: 'fields',
  nodes: 'objects',
  values: 'values',
  verifications: 'verifications',
  parts: 'parts of states',
  bytes: 'bytes',
}

/** How much of each an operation asks for. */
export type Asked = { readonly [Limit in keyof Limits]?: number }

/** The first limit that is passed, as an error that names it; undefined when all is within. */
export function excessOf(asked: Asked, limits: Limits): GraphQLError | undefined {
  for (const limit of Object.keys(THINGS) as (keyof Limits)[]) {
    const figure = asked[limit] ?? 0
    const allowed = limits[limit]
    if (figure <= allowed) continue
    const message = `The operation asks for ${figure} ${THINGS[limit]}, and ${allowed} is the most`
    const extensions = { code: 'QUERY_TOO_COMPLEX', limit, allowed, asked: figure, http: { status: 400 } }
    return new GraphQLError(message, { extensions })
  }
  return undefined
}

/** Looks at a text that could not be parsed: whether that was for its size alone. */
export function tokensIn(text: string): number {
  const lexer = new Lexer(new Source(text))
  let count = 0
  try {
    while (lexer.advance().kind !== TokenKind.EOF) count++
  } catch {
    // What is no token ends the count: the parser has told of it.
  }
  return count
}

/** Refuses by the text alone, before anything is planned: what no page size bounds. */
export function createLimitsRule(limits: Limits): (context: ValidationContext) => ASTVisitor {
  return (context) => {
    let directives = 0
    return {
      Directive: () => void directives++,
      OperationDefinition(operation) {
        const excess = excessOf(
          measureText(operation, (name) => context.getFragment(name)),
          limits,
        )
        if (excess) context.reportError(excess)
      },
      Document: {
        leave() {
          const excess = excessOf({ directives }, limits)
          if (excess) context.reportError(excess)
        },
      },
    }
  }
}

interface Size {
  depth: number
  fields: number
  aliases: number
}

/**
 * Each fragment is measured once, so a small text that doubles at every level is refused as fast as any other; circular ones
 * are left to the rule that names them.
 */
function measureText(
  operation: OperationDefinitionNode,
  getFragment: (name: string) => FragmentDefinitionNode | null | undefined,
): Size {
  const fragments = new Map<string, Size>()

  function selectionSize(selections: SelectionSetNode | undefined): Size {
    const size = { depth: 0, fields: 0, aliases: 0 }
    for (const selection of selections?.selections ?? []) {
      if (selection.kind === Kind.FIELD) add(size, fieldSize(selection))
      else if (selection.kind === Kind.INLINE_FRAGMENT) add(size, selectionSize(selection.selectionSet))
      else add(size, fragmentSize(selection.name.value))
    }
    return size
  }

  function fieldSize(field: FieldNode): Size {
    const { depth, fields, aliases } = selectionSize(field.selectionSet)
    return { depth: depth + 1, fields: fields + 1, aliases: aliases + (field.alias ? 1 : 0) }
  }

  function fragmentSize(name: string): Size {
    const known = fragments.get(name)
    if (known) return known
    fragments.set(name, { depth: 0, fields: 0, aliases: 0 })
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
}
