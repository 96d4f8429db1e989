import assert from 'node:assert/strict'
import { runAudit } from '../../src/commands/audit.ts'
import { runGc } from '../../src/commands/gc.ts'
import { readConfig } from '../../src/config.ts'
import { createLogger } from '../../src/log.ts'
import { exchange } from './exchange.ts'
import type { Operation } from './operations.ts'
import type { Stage } from './play.ts'

const APPROVE = 'mutation($id: ID!) { markGolden(snapshotId: $id, approvalSource: "history") { isGolden } }'
const HOLD = 'mutation($id: String!, $hold: Boolean!) { holdRun(runId: $id, hold: $hold) { legalHold } }'

type Keeping = (Operation & { do: 'approve' }) | (Operation & { do: 'hold' })

/** What keeps a state, or all of a run, past its end. */
export async function playKeeping(stage: Stage, operation: Keeping & { member: number }): Promise<void> {
  const { model, weather, count } = stage
  const id = operation.do === 'approve' ? model.pick(operation.which)?.snapshotId : operation.run
  if (id === undefined) return
  const hold = operation.do === 'hold' && operation.hold
  const asked = await stage.ask(operation.member)
  const end = operation.do === 'approve' ? model.lives.approve(id) : model.lives.hold(id, hold)
  const body = { query: operation.do === 'approve' ? APPROVE : HOLD, variables: { id, hold } }
  const reply = await exchange({
    method: 'POST',
    url: `${asked.url}/graphql`,
    headers: { 'content-type': 'application/json' },
    body: Buffer.from(JSON.stringify(body)),
  })
  if (reply.kind === 'broken') {
    assert.ok(weather.had('kill', asked.member, asked.start), `A connection broke: ${reply.why}`)
    return count(`${operation.do}: broken`)
  }
  const code: string | undefined = JSON.parse(reply.body.toString()).errors?.[0].extensions?.code
  count(`${operation.do}: ${code ?? 'done'}`)
  end(code === undefined)
  // What is not there, or is not there any more, cannot be kept.
  const isExcused =
    code === undefined || code === 'NOT_FOUND' || weather.excuses(code, { ...asked, touchesObjects: false })
  assert.ok(isExcused, `${code} without a cause: ${operation.do} ${id}`)
}

function settingsOf({ databaseUrl, store }: Stage['world']) {
  const config = readConfig({ DATABASE_URL: databaseUrl, ...store.env(store.s3?.endpoint ?? '') })
  return { config: { ...config, databaseUrl }, signal: new AbortController().signal }
}

/** `statelens gc`, past every proxy, beside whatever the servers do by themselves. */
export async function playGc({ world, weather, count }: Stage): Promise<void> {
  const over = weather.begin('sweep', null)
  let printed = ''
  const output = { write: (text: string) => (printed += text) }
  const log = createLogger({ level: 'silent' })
  const code = await runGc({ ...settingsOf(world), isDryRun: false, isForced: true, output, log })
  over()
  assert.equal(code, 0, printed)
  count('gc: done')
}

/** `statelens audit`: it must find nothing, once nothing is under way. */
export async function auditAtRest({ world }: Stage): Promise<void> {
  let printed = ''
  const output = { write: (text: string) => (printed += text) }
  const args = { sample: '100', 'per-second': '10000' }
  const code = await runAudit({ ...settingsOf(world), args, output })
  assert.equal(code, 0, `The auditor found something: ${printed}`)
}
