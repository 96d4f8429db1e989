import type { GraphqlAnswer, TestServer } from '../support/server.ts'

/** How many items the list of the state has. */
export const ITEMS = 4000

const item = (index: number) =>
  `{"id":"item ${index}","text":"${'words of \\"an agent\\" é '.repeat(12)}${index}","vector":[${index},1.0,-0]}`

/** Above 1 MiB, compact but for one newline, with what readers trip over. */
export const STATE_TEXT = `{"step":"embed","exact":{"big":9007199254740993,"one":1.0,"minus":-0,"far":1e400},"items":[${Array.from(
  { length: ITEMS },
  (_, index) => item(index),
).join()}],"log":"${'one line \\n 🙂 '.repeat(30_000)}",
"a/b~c":{"":[10,[20],"\\ud83d"]},"twice":1,"twice":2}`

export const STATE = Buffer.from(STATE_TEXT)

/** Source text of an item. */
export const itemText = item

const LOOK = `query($id: ID!) {
  snapshotById(snapshotId: $id) {
    root: at { pointer key index type childCount sizeBytes preview }
    item: at(pointer: "/items/1500") { pointer key index type childCount sizeBytes raw value }
    deep: at(pointer: "/a~1b~0c//1/0") { pointer key index type raw childCount }
    empty: at(pointer: "/a~1b~0c/") { key index raw }
    exact: at(pointer: "/exact") { raw }
    twice: at(pointer: "/twice") { raw }
    log: at(pointer: "/log") { type sizeBytes preview raw }
    gone: at(pointer: "/items/4000/id") { type }
    page: at(pointer: "/items") {
      children(first: 3, skip: 3100) { totalCount nodes { index pointer sizeBytes preview } pageInfo { hasNextPage hasPreviousPage } }
    }
  }
}`

/** What a reader sees of it, at many places. */
export async function lookInto(server: TestServer, id: string): Promise<GraphqlAnswer<{ snapshotById: Look }>> {
  return await server.graphql<{ snapshotById: Look }>(LOOK, { id })
}

export type Look = Readonly<Record<string, Record<string, unknown> | null>>
