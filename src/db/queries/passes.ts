import { sql } from 'kysely'
import type { Instant } from '../../model/instant.ts'
import type { Rows } from '../connect.ts'

/** So long a turn lasts without a sign of life of whoever has it. */
const TURN_SECONDS = 60

export interface Turn {
  readonly name: string
  /** UUID of whoever takes it. */
  readonly holder: string
}

/**
 * Takes the turn at what one process does at a time for all of them. By a row and not by a lock of a session: it works through a pooler
 * as well, and passes on by itself where its holder was killed.
 * @param everySeconds how long after the end of the last pass; 0 for at once.
 * @returns the database's own time; null where another one has the turn, or it is too early.
 */
export async function takeTurn(db: Rows, { name, holder }: Turn, everySeconds: number): Promise<Instant | null> {
  const [row] = await db.rows(sql`
    insert into statelens_passes as p (name, holder, held_until) values (${name}, ${holder}::uuid, now() + make_interval(secs => ${TURN_SECONDS}))
    on conflict (name) do update set holder = excluded.holder, held_until = excluded.held_until
      where p.held_until <= now() and (p.ended_at is null or p.ended_at <= now() - make_interval(secs => ${everySeconds}))
    returning now()`)
  return row ? String(row[0]) : null
}

/** A sign of life. @returns false when another one has the turn by now. */
export async function keepTurn(db: Rows, { name, holder }: Turn): Promise<boolean> {
  const rows = await db.rows(sql`
    update statelens_passes set held_until = now() + make_interval(secs => ${TURN_SECONDS})
    where name = ${name} and holder = ${holder}::uuid returning 1`)
  return rows.length > 0
}

/** Gives the turn back. @param report what came of it, for whoever looks; null where it was broken off, and is due again at once. */
export async function endTurn(db: Rows, { name, holder }: Turn, report: object | null): Promise<void> {
  const ended = report === null ? sql`` : sql`, ended_at = now(), report = ${JSON.stringify(report)}::json`
  await db.rows(sql`
    update statelens_passes set holder = null, held_until = '-infinity'${ended} where name = ${name} and holder = ${holder}::uuid`)
}

export interface EndedPass {
  readonly endedAt: Instant
  readonly report: Readonly<Record<string, unknown>>
}

/** The last one that came to its end; null before there was one. */
export async function loadEndedPass(db: Rows, name: string): Promise<EndedPass | null> {
  const [row] = await db.rows(sql`
    select ended_at, report::text from statelens_passes where name = ${name} and ended_at is not null`)
  return row ? { endedAt: String(row[0]), report: JSON.parse(String(row[1])) } : null
}
