import type { Change } from '../db/queries/changes.ts'
import { seenBelow } from '../model/seen.ts'
import { placeAt } from './event.ts'
import type { Located } from './hydrate.ts'
import type { Found } from './poller.ts'

/**
 * Gives each change the place behind it: behind its transaction, or before that while more of it is to come for the same readers, who would
 * miss it otherwise.
 */
export function locate(
  changes: readonly Change[],
  { upTo, isLast, changes: all }: Found,
  topicOf: (change: Change) => string,
): readonly Located[] {
  const unfinished = isLast ? null : (all.at(-1)?.xid ?? null)
  /** Of each topic the transaction of the change that comes next. */
  const next = new Map<string, bigint>()
  const located: Located[] = []
  for (const change of changes.toReversed()) {
    const topic = topicOf(change)
    const xid = change.xid ?? 0n
    const isWhole = xid !== (next.get(topic) ?? unfinished)
    const isLastOfAll = isLast && !next.has(topic)
    located.push({ change, topic, place: placeAt(isLastOfAll ? upTo : seenBelow(upTo, isWhole ? xid + 1n : xid)) })
    next.set(topic, xid)
  }
  return located.reverse()
}
