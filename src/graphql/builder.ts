import SchemaBuilder from '@pothos/core'
import DirectivesPlugin from '@pothos/plugin-directives'
import FederationPlugin from '@pothos/plugin-federation'
import RelayPlugin from '@pothos/plugin-relay'
import { encodeGlobalId } from '../model/ids.ts'
import type { Instant } from '../model/instant.ts'
import type { Context } from './context.ts'
import { costing } from './cost.ts'
import type { JsonText } from './json-text.ts'
import type { RawJson } from './raw-json.ts'

/** Plugins and their settings only. Types live in `types/`, one file each. */
export const builder = new SchemaBuilder<{
  Context: Context
  DefaultFieldNullability: false
  DefaultEdgesNullability: { list: false; items: false }
  DefaultNodeNullability: false
  Connection: { readonly totalCount: number | null }
  Scalars: {
    BigInt: { Input: string; Output: string | number }
    DateTime: { Input: Instant; Output: Instant }
    ID: { Input: string; Output: string }
    JSON: { Input: JsonText; Output: RawJson }
    JSONPointer: { Input: string; Output: string }
    URL: { Input: never; Output: string }
  }
}>({
  // Directives before federation: without it the printed schema silently lacks its keys.
  plugins: [RelayPlugin, DirectivesPlugin, FederationPlugin],
  defaultFieldNullability: false,
  relay: {
    encodeGlobalID: (typename, id) => encodeGlobalId(typename, String(id)),
    nodeTypeOptions: { description: 'Anything with a global id.' },
    idFieldOptions: { description: 'Global id: opaque, unique over all types.' },
    // Our own are in types/node.ts: one bad id does not take the others with it.
    nodeQueryOptions: false,
    nodesQueryOptions: false,
    pageInfoTypeOptions: { description: 'Where a page stands in its list.' },
    edgesFieldOptions: {
      nullable: { list: false, items: false },
      description: 'The items, each with its cursor.',
      extensions: costing({ items: 'page', isNode: false }),
    },
    nodesOnConnection: { description: 'The items alone.', extensions: costing({ items: 'page' }) },
    nodeFieldOptions: { nullable: false, description: 'The item.' },
    cursorFieldOptions: { description: 'Place of the item in the list: opaque, good for `after` and `before`.' },
    pageInfoFieldOptions: { description: 'Where the page stands in the list.', extensions: costing({ isNode: false }) },
    hasNextPageFieldOptions: { description: 'Whether the list has items after this page.' },
    hasPreviousPageFieldOptions: { description: 'Whether the list has items before this page.' },
    startCursorFieldOptions: { description: 'Cursor of the first item; null on an empty page.' },
    endCursorFieldOptions: { description: 'Cursor of the last item; null on an empty page.' },
    firstArgOptions: { description: 'The first so many: 0 to 100.' },
    lastArgOptions: { description: 'The last so many: 0 to 100; not together with first.' },
    afterArgOptions: { description: 'Only items after this cursor.' },
    beforeArgOptions: { description: 'Only items before this cursor.' },
  },
})

builder.globalConnectionField('totalCount', (t) =>
  t.int({
    nullable: true,
    description: 'Items of the whole list, whatever the page: exact up to 1,000, null where there are more.',
    resolve: ({ totalCount }) => totalCount,
  }),
)

builder.queryType({ description: 'Runs, their steps and the states that were captured in them.' })
builder.mutationType({ description: 'What producers record.' })
