import { type Kysely, sql } from 'kysely'
import { CHANGE_INDEXES, createIndexesOfEmpty } from '../indexes.ts'

/**
 * Which transaction wrote a snapshot: who reads on behind a place finds what was committed later, though its number is lower. Rows that
 * are there already have none, and are history.
 */
export async function up(db: Kysely<unknown>): Promise<void> {
  for (const statement of STATEMENTS) await sql.raw(statement).execute(db)
  await createIndexesOfEmpty(db, CHANGE_INDEXES)
}

const STATEMENTS = [
  'alter table state_snapshots add column changed_xid xid8',
  'alter table state_snapshots alter column changed_xid set default pg_current_xact_id()',

  // A transaction has its own number before its rows have theirs: one that begins later has no lower number of a row. Whoever may
  // insert rows may number them.
  `create function statelens_next_seq() returns bigint language sql volatile security definer
    return case when pg_current_xact_id() is not null then nextval('state_snapshots_seq_seq'::regclass) end`,
  // An identity column keeps its own default: there this server asks for the number itself.
  `do $$ begin
    if exists (select from pg_attribute
      where attrelid = 'state_snapshots'::regclass and attname = 'seq' and attidentity = '') then
      alter table state_snapshots alter column seq set default statelens_next_seq();
    end if;
  end $$`,
]
