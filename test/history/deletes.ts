import assert from 'node:assert/strict'
import { exchange } from './exchange.ts'
import type { Operation } from './operations.ts'
import type { Stage } from './play.ts'

const DELETE = 'mutation($id: ID!) { deleteSnapshot(snapshotId: $id) { deleted } }'
const DELETE_RUN = 'mutation($id: String!) { deleteRun(runId: $id) { deleted } }'

interface Answer {
  readonly data: Readonly<Record<string, { readonly deleted: boolean } | null>>
  readonly errors?: readonly { readonly extensions: { readonly code: string } }[]
}

type Deletion = (Operation & { do: 'delete' }) | (Operation & { do: 'delete run' })

export async function playDelete(stage: Stage, operation: Deletion & { member: number }): Promise<void> {
  const { model, weather, count } = stage
  const state = operation.do === 'delete' ? model.pick(operation.which) : undefined
  const id = operation.do === 'delete' ? state?.snapshotId : operation.run
  const runId = operation.do === 'delete' ? state?.runId : operation.run
  if (id === undefined || runId === undefined) return
  const asked = await stage.ask(operation.member)
  const end = model.beginDeletion(operation.do === 'delete' ? { snapshotId: id } : { runId: id })
  const query = operation.do === 'delete' ? DELETE : DELETE_RUN
  const reply = await exchange({
    method: 'POST',
    url: `${asked.url}/graphql`,
    headers: { 'content-type': 'application/json' },
    body: Buffer.from(JSON.stringify({ query, variables: { id } })),
  })
  if (reply.kind === 'broken') {
    end('unknown')
    assert.ok(weather.had('kill', asked.member, asked.start), `A connection broke: ${reply.why}`)
    return count(`${operation.do}: broken`)
  }
  const { data, errors }: Answer = JSON.parse(reply.body.toString())
  const code: string | undefined = errors?.[0]?.extensions.code
  count(`${operation.do}: ${code ?? 'done'}`)
  if (code === 'CONFLICT') {
    end('refused')
    return assert.ok(model.lives.mayBeHeld(runId), `A conflict, and nobody holds ${runId}`)
  }
  // What was gone before is no delete.
  const didDelete = code === undefined && Object.values(data ?? {})[0]?.deleted === true
  assert.ok(!didDelete || !model.lives.isHeld(runId, asked.start), `${id} was deleted under legal hold`)
  end(code === undefined ? 'acknowledged' : 'unknown')
  const isExcused = code === undefined || weather.excuses(code, { ...asked, touchesObjects: false })
  assert.ok(isExcused, `${code} without a cause: ${operation.do} ${id}`)
}
