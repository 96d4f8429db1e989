import { createHash } from 'node:crypto'
import { CHANGE_KINDS, type ChangeKind } from '../db/queries/changes.ts'
import { AppError } from '../errors.ts'
import { readSeen, type Seen, writeSeen } from '../model/seen.ts'

/** How far somebody has read: all that was committed until then, and of what came after it a part. */
export interface Place {
  /** Null: nothing. */
  readonly since: Seen | null
  /** While history is read: where that ends, and the last row of it, by kind and number. */
  readonly round: { readonly upTo: Seen; readonly kind: ChangeKind; readonly key: string } | null
}

/** What a cursor keeps. */
export interface Cursor {
  readonly place: Place
  /** Whether the run was there when it was given: one that is not there then has been deleted. */
  readonly wasThere: boolean
}

export const BEGINNING: Place = { since: null, round: null }

const CURSOR_MAX_CHARS = 512
/** Of each of two, so that all of it is within the limit once it is written in base64. */
const SEEN_MAX_CHARS = 140
const FORM = /^([12])([\w-]{8})([\w-]{8}),([\da-f.-]*)(?:,([\da-f.-]+),([012]),(\d{0,19}))?$/

/** What a cursor is of: events of one run, of all runs, or the replay of one. Those of another are refused. */
export type CursorScope = readonly ['run' | 'replay', string] | readonly ['runs']

export interface CursorOrigin {
  readonly scope: CursorScope
  /** What numbers the transactions: `Moment.cluster`. */
  readonly cluster: string
}

/** Writes cursors: opaque texts of at most 512 characters, a few dozen when little is under way: `A-Z a-z 0-9 _ -`. */
export function createCursorWriter({ scope, cluster }: CursorOrigin): (cursor: Cursor) => string {
  const origin = digestOf([cluster]) + digestOf(scope)
  return ({ place: { since, round }, wasThere }) => {
    const parts = [`${wasThere ? 2 : 1}${origin}`, since ? writeSeen(since, SEEN_MAX_CHARS) : '']
    if (round) {
      const kind = CHANGE_KINDS.indexOf(round.kind)
      // A run has one row, and needs no key.
      parts.push(writeSeen(round.upTo, SEEN_MAX_CHARS), String(kind), kind === 0 ? '' : round.key)
    }
    return Buffer.from(parts.join()).toString('base64url')
  }
}

/**
 * @returns null for one of another cluster, where numbers mean something else: whoever has it begins anew.
 * @throws AppError `BAD_REQUEST` for what is no cursor, or is one of something else.
 */
export function readCursor({ scope, cluster }: CursorOrigin, cursor: string): Cursor | null {
  const text = cursor.length <= CURSOR_MAX_CHARS ? Buffer.from(cursor, 'base64url').toString('latin1') : ''
  const [, form, ofCluster, ofScope, ...parts] = FORM.exec(text) ?? []
  const place = readPlace(parts)
  if (!place || ofScope !== digestOf(scope))
    throw new AppError('BAD_REQUEST', 'That cursor does not belong to these events')
  return ofCluster === digestOf([cluster]) ? { place, wasThere: form === '2' } : null
}

function readPlace([sinceText = '', upToText, kind, key = '']: readonly (string | undefined)[]): Place | null {
  const since = sinceText === '' ? null : readSeen(sinceText)
  const upTo = upToText === undefined ? null : readSeen(upToText)
  const isSound = (since || sinceText === '') && (upTo || upToText === undefined) && BigInt(key || 0) < 2n ** 63n
  if (!isSound) return null
  return { since, round: upTo && { upTo, kind: CHANGE_KINDS[Number(kind)] ?? 'run', key } }
}

function digestOf(parts: readonly string[]): string {
  return createHash('sha256').update(parts.join('\0')).digest('base64url').slice(0, 8)
}
