import { AppError } from '../../errors.ts'
import type { FindIn, FindMatch } from '../../json/parts/place.ts'
import { MAX_PAGE_SIZE } from '../../model/page.ts'
import type { Asked } from '../../snapshots/views/parts.ts'
import { builder } from '../builder.ts'
import type { Connection } from '../connection.ts'
import type { Context } from '../context.ts'
import { costing } from '../cost.ts'
import { createPartCursors, type PartNode, requirePage, toPartConnection } from '../parts.ts'
import { JsonNodeRef } from './json-node.ts'
import { SnapshotRef } from './snapshot.ts'

const DEFAULT_SIZE = 50
const TEXT_MAX_LENGTH = 1024
/** A page ends when so much was searched, however little it found. */
const PAGE_BYTES = 67_108_864
/** A page of a search weighs as much as so many other reads. */
const PARTS_OF_PAGE = 50

/** One place that a search found. */
interface MatchNode extends Pick<FindMatch, 'in' | 'excerpt' | 'start' | 'end'> {
  readonly node: PartNode
}

const FindInRef = builder.enumType('FindIn', {
  description: 'Where a text is looked for.',
  values: {
    ANYWHERE: { description: 'In keys and values.' },
    KEYS: { description: 'In the keys of objects, unescaped.' },
    VALUES: { description: 'In strings, unescaped, and in the source text of numbers.' },
  } satisfies Record<FindIn, object>,
})

const JsonMatchRef = builder.objectRef<MatchNode>('JsonMatch').implement({
  description: 'A place in a state that holds a text.',
  fields: (t) => ({
    node: t.expose('node', { type: JsonNodeRef, description: 'The value that holds it, or whose key does.' }),
    in: t.expose('in', { type: FindInRef, description: 'Whether it is in the key or in the value.' }),
    excerpt: t.exposeString('excerpt', { description: 'What is around the match, unescaped.' }),
    start: t.exposeInt('start', { description: 'Where the match begins in the excerpt, in UTF-16 units.' }),
    end: t.exposeInt('end', { description: 'Where it ends there.' }),
  }),
})

interface SearchPage {
  readonly scannedBytes: number
  readonly isComplete: boolean
}

/** What the resolver adds to a connection, of which its type knows nothing. */
const searchOf = (page: object) => page as SearchPage

const JsonMatchConnection = builder.connectionObject(
  {
    type: JsonMatchRef,
    name: 'JsonMatchConnection',
    description: 'A page of what a search found.',
    fields: (t) => ({
      scannedBytes: t.field({
        type: 'BigInt',
        description: 'How much of the state was searched for this page, in bytes.',
        resolve: (page) => searchOf(page).scannedBytes,
      }),
      complete: t.boolean({
        description: 'False where the byte budget ended this page: go on with endCursor.',
        resolve: (page) => searchOf(page).isComplete,
      }),
    }),
  },
  { name: 'JsonMatchEdge', description: 'A match at its place in the state.' },
)

builder.objectFields(SnapshotRef, (t) => ({
  find: t.field({
    type: JsonMatchConnection,
    nullable: true,
    description:
      "Places at or below a pointer where a key, a string or a number's text holds `text`; searched on the server, in pages, in the order of the state.",
    extensions: costing({
      isNode: false,
      parts: PARTS_OF_PAGE,
      page: ({ first }: { first?: number | null }) => Math.min(Math.max(first ?? DEFAULT_SIZE, 0), MAX_PAGE_SIZE),
    }),
    args: {
      pointer: t.arg({ type: 'JSONPointer', defaultValue: '', description: 'Below which place.' }),
      text: t.arg.string({ required: true, description: 'What to look for: 1 to 1,024 UTF-16 units.' }),
      in: t.arg({ type: FindInRef, defaultValue: 'ANYWHERE', description: 'Where to look.' }),
      matchCase: t.arg.boolean({ defaultValue: false, description: 'True tells `A` from `a`.' }),
      first: t.arg.int({ defaultValue: DEFAULT_SIZE, description: 'The first so many: 1 to 100.' }),
      after: t.arg.string({ description: 'Only those after this cursor.' }),
    },
    resolve: (snapshot, args, context) => find(snapshot, args, context),
  }),
}))

interface FindArgs {
  readonly pointer?: string | null
  readonly text: string
  readonly in?: FindIn | null
  readonly matchCase?: boolean | null
  readonly first?: number | null
  readonly after?: string | null
}

async function find(snapshot: Asked, args: FindArgs, { parts }: Context): Promise<Connection<MatchNode> & SearchPage> {
  const { text, after } = args
  const pointer = args.pointer ?? ''
  const wish = { text, in: args.in ?? 'ANYWHERE', matchCase: args.matchCase ?? false }
  const first = args.first ?? DEFAULT_SIZE
  requirePage({ first })
  if (first === 0 || text === '' || text.length > TEXT_MAX_LENGTH) {
    throw new AppError('BAD_REQUEST', `text must be 1 to ${TEXT_MAX_LENGTH} units, and first at least 1`)
  }
  const document = await parts.open(snapshot)
  const root = { snapshot, version: document.version, place: await document.at(pointer) }
  const cursors = createPartCursors('matches', root, [pointer, ...Object.values(wish)])
  const [offset = 0] = after == null ? [] : cursors.decode(after)
  const from = after == null ? null : { offset }
  const page = await document.find(root.place, { ...wish, first, after: from, maxBytes: PAGE_BYTES })
  const edges = page.matches.map(({ place, cursor, ...match }) => ({
    cursor: cursors.encode([cursor.offset]),
    node: { ...match, node: { ...root, place } },
  }))
  const { next, scannedBytes, isComplete } = page
  const endCursor = next ? cursors.encode([next.offset]) : undefined
  const connection = toPartConnection(edges, { hasNextPage: next !== null, hasPreviousPage: from !== null, endCursor })
  return { ...connection, scannedBytes, isComplete }
}
