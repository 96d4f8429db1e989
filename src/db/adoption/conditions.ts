import { type Kysely, sql } from 'kysely'

/** Columns that rows of ours have, or that an old table has and ours leave null. */
const OUR_COLUMNS = sql`'id', 'run_id', 'step_id', 'is_success_state', 'created_at', 'pii_tags', 'redaction_policy', 'replay_safe',
  'content_digest', 'storage_uri', 'snapshot', 'seq', 'attempt', 'kind', 'is_golden', 'metadata', 'size_bytes', 'content_type',
  'content_encoding', 'storage_state', 'json_verdict', 'json_verdict_etag', 'preview', 'idempotency_key', 'request_digest',
  'expires_at', 'payload', 'reads_inline', 'integrity', 'verified_at'`

/**
 * What the owner of the table of snapshots asks of rows, and what follows for those of ours, in words. It is read from the catalog
 * alone.
 */
export async function findConditions(db: Kysely<unknown>): Promise<readonly string[]> {
  const { rows } = await sql<{ text: string }>`
    select text from (
      select 1 as place, format('statelens cannot capture into this table while the column %s is required.', attname) as text
      from pg_attribute where attrelid = to_regclass('state_snapshots') and attnum > 0 and not attisdropped and attnotnull
        and not atthasdef and attidentity = '' and attname not in (${OUR_COLUMNS})
      union all
      select 2, format('What statelens captures has to satisfy the constraint %s: %s.', conname, pg_get_constraintdef(oid))
      from pg_constraint where conrelid = to_regclass('state_snapshots') and contype not in ('n', 't')
        and conname not like 'statelens\\_%' and not (contype in ('p', 'u') and pg_get_constraintdef(oid) ~ '\\(id\\)$')
      union all
      select 3, format('A snapshot cannot be deleted while a row of %s refers to it (constraint %s).', conrelid::regclass, conname)
      from pg_constraint where confrelid = to_regclass('state_snapshots') and contype = 'f' and confdeltype in ('a', 'r')
        and conparentid = 0
      union all
      -- Of the bits, 4 is insert, 8 delete.
      select 4, format('The trigger %s fires for what statelens %s.', tgname, case
        when tgtype & 12 = 12 then 'captures and deletes' when tgtype & 4 = 4 then 'captures' else 'deletes' end)
      from pg_trigger where tgrelid = to_regclass('state_snapshots') and not tgisinternal and tgenabled <> 'D' and tgtype & 12 > 0
        and tgname not like 'statelens\\_%'
      union all
      select 5, format('The rule %s takes the place of what statelens %s.', rulename,
        case ev_type when '3' then 'captures' when '4' then 'deletes' else 'records of a snapshot' end)
      from pg_rewrite where ev_class = to_regclass('state_snapshots') and is_instead and ev_enabled <> 'D'
    ) c order by place, text`.execute(db)
  return rows.map(({ text }) => text)
}
