import { MAX_PAGE_SIZE, type Page, type PageRequest } from '../model/page.ts'

/** All pages of one list, each read when the one before was taken; what comes in meanwhile may be among them. */
export async function* walkPages<T>(
  read: (page: PageRequest) => Promise<Page<T> | undefined>,
  positionOf: (item: T) => readonly string[],
): AsyncGenerator<readonly T[]> {
  const same = { size: MAX_PAGE_SIZE, backward: false, before: null, wantsEnds: false, wantsTotal: false }
  let after: readonly string[] | null = null
  for (;;) {
    const page: Page<T> | undefined = await read({ ...same, after })
    const last = page?.items.at(-1)
    if (!page || !last) return
    yield page.items
    if (!page.hasNextPage) return
    after = positionOf(last)
  }
}
