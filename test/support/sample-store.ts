import { openObjects } from './objects.ts'
import { insertForeign, query } from './rows.ts'
import type { TestServer } from './server.ts'

const ids = (stepCount: number) =>
  Array.from({ length: stepCount }, (_, index) => `00000000-0000-4000-8000-00000000000${index}`)
const [inline = '', lazy = '', object = '', lost = ''] = ids(4)

/** Ids of the snapshots of `run 1`: of steps 1 to 4, in this order. */
export const SAMPLE = { inline, lazy, object, lost }

/** Links end at one time, whoever is asked and when. */
export const now = () => Date.UTC(2026, 10, 23)

/**
 * Two runs of this server with states of every tier, one of them lost, and rows of another writer. Needs an inline limit of 100,000
 * bytes. What a first read would note is noted: later ones find all as it was.
 */
export async function fillSample(server: TestServer): Promise<void> {
  const { writer } = server.app
  const error = { message: 'it “broke”', type: 'E', stack: 'at ü' }
  const times = { startedAt: '2026-01-01T00:00:00.123456Z', endedAt: '2026-01-01T00:00:01Z' }
  await writer.upsertRun({ runId: 'run 2', workflowName: '2f4d7e5a-0000-4000-8000-0000000000000:' })
  const tags = [{ key: 'team', value: 'ü' }]
  await writer.upsertRun({ runId: 'run 1', parentRunId: 'run 2', status: 'FAILED', tags, error, ...times })
  for (const [index, snapshotId] of ids(4).entries()) {
    const step = { runId: 'run 1', stepId: `step ${index + 1}` }
    await writer.upsertStep({
      ...step,
      index: index === 1 ? null : index,
      name: `näme ${index}`,
      kind: 'tool',
      error,
      ...times,
    })
    const text = 'ü'.repeat([10, 40_000, 75_000, 75_000][index] ?? 0)
    const notes = { metadata: '{ "b" : 1.0 }', piiTags: ['mail'], isSuccessState: true }
    await writer.capture(
      { ...step, ...notes, snapshotId, kind: 'OUTPUT' },
      Buffer.from(JSON.stringify({ text, index })),
    )
  }
  await writer.upsertStep({ runId: 'run 1', stepId: 'step 5', error: { message: 'no more' } })
  for (const kind of ['INPUT', 'ERROR'] as const) await writer.capture({ runId: 'run 1', kind }, Buffer.from('[1e2]'))
  await insertForeign(server.databaseUrl, { runId: 'foreign', stepId: 'null tag', payload: '1' })
  await query(server.databaseUrl, `update state_snapshots set pii_tags = '{a,null}' where step_id = 'null tag'`)
  await insertForeign(server.databaseUrl, { runId: 'foreign', stepId: 'step 1', payload: '{"a" : [1.0, "ü"]}' })
  const storageUri = 'file:///foreign/lost.json'
  await insertForeign(server.databaseUrl, { runId: 'foreign', stepId: 'lost', storageUri })
  using objects = openObjects(server)
  const select = 'select storage_uri from state_snapshots where id = $1'
  const [gone] = await query<{ storage_uri: string }>(server.databaseUrl, select, [lost])
  await objects.remove(gone?.storage_uri ?? '')
  // What a first read would note.
  await query(
    server.databaseUrl,
    `update state_snapshots set storage_state = 'MISSING' where id = $1 or step_id = 'lost'`,
    [lost],
  )
}
