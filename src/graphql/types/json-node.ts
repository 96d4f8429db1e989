import { type GraphQLResolveInfo, responsePathAsArray } from 'graphql'
import { AppError } from '../../errors.ts'
import { INDEX_ABOVE_BYTES } from '../../json/parts/json-index.ts'
import type { JsonType } from '../../json/parts/place.ts'
import { MAX_PAGE_SIZE } from '../../model/page.ts'
import { SMALL_PAYLOAD_BYTES } from '../../model/snapshot.ts'
import { refuseAbove } from '../../snapshots/views/payload-bytes.ts'
import { builder } from '../builder.ts'
import type { Connection } from '../connection.ts'
import type { Context } from '../context.ts'
import { costing } from '../cost.ts'
import { createPartCursors, documentOf, type PartNode, requirePage, toPartConnection } from '../parts.ts'
import { type RawJson, rawJson } from '../raw-json.ts'
import { SnapshotRef } from './snapshot.ts'

const RAW_DEFAULT_BYTES = 65_536
/** A text is held whole while an answer is made. */
const RAW_MAX_BYTES = 1_048_576
const INT_MAX = 2 ** 31 - 1

const JsonTypeRef = builder.enumType('JsonType', {
  description: 'What a JSON value is.',
  values: {
    OBJECT: { description: 'Keys and values, in the order of the text.' },
    ARRAY: { description: 'Values, by index.' },
    STRING: { description: 'A text.' },
    NUMBER: { description: 'A number of any length.' },
    BOOLEAN: { description: '`true` or `false`.' },
    NULL: { description: '`null`.' },
  } satisfies Record<JsonType, object>,
})

export const JsonNodeRef = builder.objectRef<PartNode>('JsonNode')

const JsonNodeConnection = builder.connectionObject(
  { type: JsonNodeRef, name: 'JsonNodeConnection', description: 'A page of the children of a place in a state.' },
  { name: 'JsonNodeEdge', description: 'A child at its place.' },
)

JsonNodeRef.implement({
  description: 'One place in a state. Nothing but what is asked for is read.',
  fields: (t) => ({
    pointer: t.field({
      type: 'JSONPointer',
      description: 'Where it is: `at` leads back to it, but for all but the last of equal keys.',
      resolve: ({ place }) => place.pointer,
    }),
    key: t.string({
      nullable: true,
      description: 'Its key in an object, unescaped; null elsewhere.',
      resolve: ({ place }) => place.key,
    }),
    index: t.int({
      nullable: true,
      description: 'Its index in an array; null elsewhere.',
      resolve: ({ place }) => intOf(place.index),
    }),
    type: t.field({ type: JsonTypeRef, description: 'What it is.', resolve: ({ place }) => place.type }),
    sizeBytes: t.field({
      type: 'BigInt',
      description: 'Of its source text, in bytes.',
      resolve: ({ place }) => place.sizeBytes,
    }),
    childCount: t.int({
      nullable: true,
      description:
        'Of an object, equal keys included, or of an array; null for anything else, and above 2,147,483,647.',
      resolve: ({ place }) => intOf(place.childCount),
    }),
    preview: t.string({
      nullable: true,
      description:
        'The beginning of its source text: at most 1 KiB, cut neither within a character nor within an escape.',
      resolve: async (node, _args, context) => (await documentOf(node, context)).preview(node.place),
    }),
    value: t.field({
      type: 'JSON',
      nullable: true,
      description:
        'The value itself, byte for byte. Above maxBytes or the limit of the server: null and PAYLOAD_TOO_LARGE, never a part of it.',
      args: { maxBytes: t.arg.int({ description: 'Most bytes that the caller takes.' }) },
      resolve: (node, { maxBytes }, context, info) => readValue(node, { maxBytes, context, info }),
    }),
    raw: t.string({
      nullable: true,
      description:
        "The value's source text, for clients that would round its numbers. Above maxBytes, or 1 MiB: null and PAYLOAD_TOO_LARGE.",
      args: {
        maxBytes: t.arg.int({ defaultValue: RAW_DEFAULT_BYTES, description: 'Most bytes that the caller takes.' }),
      },
      async resolve(node, { maxBytes }, context) {
        refuseAbove(limitOf(maxBytes ?? RAW_DEFAULT_BYTES, RAW_MAX_BYTES), node.place.sizeBytes)
        return (await (await documentOf(node, context)).read(node.place)).toString()
      },
    }),
    children: t.field({
      type: JsonNodeConnection,
      nullable: true,
      description:
        'What is in an object or an array, in the order of the text; none for anything else. A page may end early, by bytes: hasNextPage tells. totalCount is exact.',
      extensions: costing({
        isNode: false,
        parts: 1,
        page: ({ first }: { first?: number | null }) => Math.min(Math.max(first ?? MAX_PAGE_SIZE, 0), MAX_PAGE_SIZE),
      }),
      args: {
        first: t.arg.int({ defaultValue: MAX_PAGE_SIZE, description: 'The first so many: 0 to 100.' }),
        after: t.arg.string({ description: 'Only those after this cursor.' }),
        skip: t.arg.int({
          defaultValue: 0,
          description: 'Leaves out so many, from `after` or the beginning on, without reading what lies between.',
        }),
      },
      resolve: (node, args, context) => pageOfChildren(node, args, context),
    }),
  }),
})

builder.objectFields(SnapshotRef, (t) => ({
  at: t.field({
    type: JsonNodeRef,
    nullable: true,
    description:
      'One place in the state, read without the rest. Null and POINTER_NOT_FOUND where there is none, with the `nearest` that there is.',
    extensions: costing({ parts: 1 }),
    args: {
      pointer: t.arg({
        type: 'JSONPointer',
        defaultValue: '',
        description: 'The place; of equal keys the last one counts.',
      }),
    },
    async resolve(snapshot, { pointer }, { parts }) {
      const document = await parts.open(snapshot)
      return { snapshot, version: document.version, place: await document.at(pointer ?? '') }
    },
  }),
}))

function intOf(count: number | null): number | null {
  return count === null || count > INT_MAX ? null : count
}

/** @throws AppError `BAD_REQUEST`. */
function limitOf(maxBytes: number | null | undefined, serverMaxBytes: number): number {
  if (maxBytes != null && maxBytes < 0) throw new AppError('BAD_REQUEST', 'maxBytes counts from 0')
  return Math.min(maxBytes ?? serverMaxBytes, serverMaxBytes)
}

interface ValueRequest {
  readonly maxBytes: number | null | undefined
  readonly context: Context
  readonly info: GraphQLResolveInfo
}

/** Small values are read with the rest of the answer; larger ones are opened while it is written. */
async function readValue(node: PartNode, { maxBytes, context, info }: ValueRequest): Promise<RawJson> {
  const { place, snapshot } = node
  const { sizeBytes } = place
  const of = { tier: snapshot.storageUri === null ? 'inline' : 'object', way: 'part' } as const
  const onSent = (bytes: number) => context.telemetry.payloadBytes('out', bytes, of)
  refuseAbove(limitOf(maxBytes, context.payloadMaxBytes), sizeBytes)
  const document = await documentOf(node, context)
  // What waits for its turn would hold all of a state that is in memory. A copy: what it is cut out of may be much larger.
  const atHandBytes = document.isInMemory ? INDEX_ABOVE_BYTES : SMALL_PAYLOAD_BYTES
  if (sizeBytes <= atHandBytes) {
    const bytes = Buffer.from(await document.read(place))
    onSent(bytes.length)
    return rawJson(bytes)
  }
  const open = () => document.open(place)
  return rawJson({ sizeBytes, open, onSent, nodes: info.fieldNodes, path: responsePathAsArray(info.path) })
}

interface ChildrenArgs {
  readonly first?: number | null
  readonly after?: string | null
  readonly skip?: number | null
}

async function pageOfChildren(node: PartNode, args: ChildrenArgs, context: Context): Promise<Connection<PartNode>> {
  const { first, skip } = { first: args.first ?? MAX_PAGE_SIZE, skip: args.skip ?? 0 }
  requirePage({ first, skip })
  const { place } = node
  const cursors = createPartCursors('children', node, [place.start])
  const [container = 0, ordinal = -1] = args.after == null ? [] : cursors.decode(args.after)
  const after = args.after == null ? null : { container, ordinal }
  const totalCount = intOf(place.childCount ?? 0)
  const behind = ordinal + 1 + skip
  if (first === 0) {
    const hasNextPage = behind < (place.childCount ?? 0)
    return { ...toPartConnection<PartNode>([], { hasNextPage, hasPreviousPage: behind > 0 }), totalCount }
  }
  const document = await documentOf(node, context)
  const { children, hasNext } = await document.children(place, { first, after, skip })
  const edges = children.map((child) => ({
    cursor: cursors.encode([child.cursor.container, child.cursor.ordinal]),
    node: { ...node, place: child.place },
  }))
  const ends = { hasNextPage: hasNext, hasPreviousPage: behind > 0 && (place.childCount ?? 0) > 0 }
  return { ...toPartConnection(edges, ends), totalCount }
}
