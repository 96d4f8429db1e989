import pg from 'pg'

/** Runs one statement on a connection of its own. */
export async function query<Row extends pg.QueryResultRow>(
  url: string,
  text: string,
  values: readonly unknown[] = [],
): Promise<Row[]> {
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  try {
    return (await client.query<Row>(text, [...values])).rows
  } finally {
    await client.end()
  }
}

/** A row as other writers of the table leave it: only these columns. */
export interface ForeignRow {
  readonly runId?: string
  readonly stepId?: string
  readonly storageUri?: string
  /** JSON text. */
  readonly payload?: string
  readonly createdAt?: string
}

/** Inserts a row the way the old writer did, which knows nothing of runs, steps, sizes and digests. @returns its id. */
export async function insertForeign(url: string, row: ForeignRow): Promise<string> {
  const { runId = 'foreign run', stepId = null, storageUri = null, payload = null, createdAt = null } = row
  const [inserted] = await query<{ id: string }>(
    url,
    `insert into state_snapshots (run_id, step_id, storage_uri, snapshot, created_at)
     values ($1, $2, $3, $4, coalesce($5::timestamptz, now())) returning id`,
    [runId, stepId, storageUri, payload, createdAt],
  )
  return inserted?.id ?? ''
}

/** Whether a statement of this database waits for what another one holds. */
export async function isLockWaited(url: string): Promise<boolean> {
  return (await countRows(url, "pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'")) > 0
}

/** How many rows there are. */
export async function countRows(url: string, table: string): Promise<number> {
  const [row] = await query<{ count: string }>(url, `select count(*) from ${table}`)
  return Number(row?.count)
}
