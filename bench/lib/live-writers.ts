import { randomUUID } from 'node:crypto'
import pg from 'pg'
import { withClient } from './database.ts'
import { cpuMillisOf } from './postgres-cpu.ts'
import type { Session } from './session.ts'
import { ratios } from './statistics.ts'

/** A capture, as this server stores one of a small state: id, run and step. */
export const CAPTURE = `select s.id from statelens_capture($1, $2, $3, 1, 'CHECKPOINT', false, false, '{}', null, null, null, null, false,
  '\\x00', '{"state":"of a step"}', null, 21, '\\x00', '{"state":"of a step"}', 'application/json', 'identity',
  null, null, null, null, null) s`
const UPSERT_RUN = `insert into statelens_runs as r (run_id, status) values ($1, $2)
  on conflict (run_id) do update set status = excluded.status, updated_at = now()`
const UPSERT_STEP = `insert into statelens_steps as t (run_id, step_id, status) values ($1, $2, $3)
  on conflict (run_id, step_id) do update set status = excluded.status`

const WITHOUT = `drop function statelens_mark_change cascade;
  alter table state_snapshots drop column changed_xid;
  alter table statelens_runs drop column changed_xid;
  alter table statelens_steps drop column changed_xid;`
/** Of snapshots alone, for those who page through them. */
const OF_SNAPSHOTS = `drop function statelens_mark_change cascade;
  alter table statelens_runs drop column changed_xid;
  alter table statelens_steps drop column changed_xid;`
const NOTIFYING = `${WITHOUT}
  create function bench_notify() returns trigger language plpgsql as $$
    begin perform pg_notify('bench', new.run_id); return null; end $$;
  create trigger bench_notify after insert on state_snapshots for each row execute function bench_notify();
  create trigger bench_notify after insert or update on statelens_runs for each row execute function bench_notify();
  create trigger bench_notify after insert or update on statelens_steps for each row execute function bench_notify();`

/** Each a database of its own, in one PostgreSQL. */
export const WAYS = [
  'without the mark',
  'the mark of snapshots alone',
  'with the mark',
  'NOTIFY in the transaction',
] as const
const SETUP = [WITHOUT, OF_SNAPSHOTS, '', NOTIFYING]
const KINDS = ['capture', 'run', 'step'] as const

type Way = (typeof WAYS)[number]
type Kind = (typeof KINDS)[number]

export interface WriterCost {
  readonly kinds: readonly Kind[]
  /** A turn of each way, of so many writes of each kind. */
  measure(writes: number, round: number): Promise<void>
  /** CPU of a way by that without the mark, one a round. */
  ratios(kind: Kind, way: Way): readonly number[]
}

export async function createWriterCost(session: Session, url: string): Promise<WriterCost> {
  const clients: { readonly client: pg.Client; readonly pid: number }[] = []
  for (const [index, setup] of SETUP.entries()) {
    const database = new URL(url)
    database.pathname = `/bench_live_${index}`
    await withClient(url, (client) => client.query(`create database bench_live_${index} template postgres`))
    const client = new pg.Client({ connectionString: database.href })
    await client.connect()
    await session.defer(() => client.end())
    // It is the CPU that counts, and not the disk.
    await client.query('set synchronous_commit = off')
    await client.query(setup)
    const { rows } = await client.query<{ pid: number }>('select pg_backend_pid() as pid')
    clients.push({ client, pid: rows[0]?.pid ?? 0 })
  }
  const cpu = new Map<string, number[]>()

  async function turn(way: number, writes: number, round: number): Promise<void> {
    const { client, pid } = clients[way] as (typeof clients)[number]
    for (const kind of KINDS) {
      const before = await cpuMillisOf(pid)
      for (let i = 0; i < writes; i++) await writeOne(client, kind, `run ${round} ${i % 50}`)
      const name = `${kind} ${WAYS[way]}`
      cpu.set(name, [...(cpu.get(name) ?? []), (await cpuMillisOf(pid)) - before])
    }
  }

  return {
    kinds: KINDS,
    async measure(writes, round) {
      for (let i = 0; i < WAYS.length; i++) await turn((round + i) % WAYS.length, writes, round)
    },
    ratios: (kind, way) => ratios(cpu.get(`${kind} ${way}`) ?? [], cpu.get(`${kind} ${WAYS[0]}`) ?? []),
  }
}

/** Prepared once a connection, as the server does. */
async function writeOne(client: pg.Client, kind: Kind, runId: string): Promise<void> {
  if (kind === 'capture') await client.query({ name: kind, text: CAPTURE, values: [randomUUID(), runId, 'step'] })
  else if (kind === 'run') await client.query({ name: kind, text: UPSERT_RUN, values: [runId, 'RUNNING'] })
  else await client.query({ name: kind, text: UPSERT_STEP, values: [runId, 'step', 'RUNNING'] })
}
