import assert from 'node:assert/strict'
import { bytesOf, digestOf } from './contents.ts'
import { type Exchange, exchange, type Reply } from './exchange.ts'
import type { State } from './model.ts'
import type { Look, Operation } from './operations.ts'
import type { Asked, Stage } from './play.ts'
import { INLINE_MAX_BYTES } from './world.ts'

/** What one look says: that there is nothing, a code, or something that is right or is not. */
type Seen = 'nothing' | { readonly code: string } | { readonly isRight: boolean; readonly what: string }

interface Way {
  request(url: string, state: State, other: State): Exchange
  read(body: Buffer, state: State, other: State): Seen
}

const plain = (path: (state: State) => string, headers?: Record<string, string>) => (url: string, state: State) => ({
  url: `${url}/snapshots/${state.snapshotId}/${path(state)}`,
  ...(headers ? { headers } : {}),
})

const graphql =
  (selection: string) =>
  (url: string, { snapshotId }: State, other: State) => ({
    method: 'POST',
    url: `${url}/graphql`,
    headers: { 'content-type': 'application/json' },
    body: Buffer.from(
      JSON.stringify({
        query: `query($id: ID!${selection.includes('$other') ? ', $other: ID!' : ''}) { snapshotById(snapshotId: $id) { ${selection} } }`,
        variables: { id: snapshotId, other: other.snapshotId },
      }),
    ),
  })

type Snapshot = Readonly<Record<string, never>>

/** Of an answer of GraphQL: what is wanted of its snapshot. */
const ofSnapshot =
  (isRight: (snapshot: Snapshot, state: State, other: State) => boolean) =>
  (body: Buffer, state: State, other: State): Seen => {
    const { data, errors } = JSON.parse(body.toString())
    if (errors) return { code: String(errors[0].extensions?.code) }
    if (data.snapshotById === null) return 'nothing'
    const what = JSON.stringify(data.snapshotById).slice(0, 300)
    return { isRight: isRight(data.snapshotById, state, other), what }
  }

const RANGE = { from: 3, to: 30 }

const WAYS: Readonly<Record<Exclude<Look, 'list'>, Way>> = {
  payload: {
    request: plain(() => 'payload'),
    read: (body, { digest }) => ({ isRight: digestOf(body) === digest, what: `${body.length} bytes` }),
  },
  range: {
    request: plain(() => 'payload', { range: `bytes=${RANGE.from}-${RANGE.to - 1}` }),
    read: (body, { content }) => ({
      isRight: body.equals(bytesOf(content).subarray(RANGE.from, RANGE.to)),
      what: body.toString('latin1', 0, 100),
    }),
  },
  value: {
    request: plain(() => 'value?pointer=/number'),
    read: (body, { content }) => ({ isRight: body.toString() === String(content.number), what: String(body) }),
  },
  graphql: {
    request: graphql('payload'),
    read(body, { content }) {
      const head = '{"data":{"snapshotById":{"payload":'
      const isPayload = body.subarray(0, head.length).toString() === head && !body.includes('"errors"')
      if (!isPayload) return ofSnapshot(() => false)(body, {} as State, {} as State)
      const end = body.lastIndexOf('}}}')
      return { isRight: body.subarray(head.length, end).equals(bytesOf(content)), what: `${body.length} bytes` }
    },
  },
  part: {
    request: graphql('at(pointer: "/number") { raw }'),
    read: ofSnapshot((snapshot, { content }) => snapshot['at']?.['raw'] === String(content.number)),
  },
  find: {
    request: graphql('find(text: "number", in: KEYS, first: 5) { nodes { node { pointer } } }'),
    read: ofSnapshot((snapshot) => JSON.stringify(snapshot).includes('"pointer":"/number"')),
  },
  diff: {
    request: graphql('diff(from: $other) { identical from { snapshotId } }'),
    read: ofSnapshot((snapshot, state, other) => snapshot['diff']?.['identical'] === (state.digest === other.digest)),
  },
  verify: {
    request: graphql('integrity(verify: true)'),
    read: ofSnapshot((snapshot, { way }) => {
      const status: string | undefined = snapshot['integrity']
      return status === (way === 'foreign' || way === 'old writer' ? 'NOT_VERIFIABLE' : 'VERIFIED')
    }),
  },
}

export async function playLook(
  stage: Stage,
  { how, which, other, member }: Operation & { do: 'look'; member: number },
) {
  const { model } = stage
  const [state, second] = [model.pick(which), model.pick(other)]
  if (!state || !second) return
  const asked = await stage.ask(member)
  if (how === 'list') return await lookAtList(stage, state, asked)
  const reply = await exchange(WAYS[how].request(asked.url, state, second))
  judge(stage, { reply, how, state, other: second, asked })
}

interface Looked {
  readonly reply: Reply
  readonly how: Exclude<Look, 'list'>
  readonly state: State
  readonly other: State
  readonly asked: Asked
}

function judge(stage: Stage, looked: Looked): void {
  const { reply, how, state, other, asked } = looked
  const { model, weather, count } = stage
  const lookedAt = how === 'diff' ? [state, other] : [state]
  const fates = lookedAt.map((one) => model.fate(one, asked.start))
  const mustBeThere = fates.every((fate) => fate === 'there')
  const told = () => `${how} of ${JSON.stringify(state)}`
  const seen = seenOf(looked)
  if (typeof seen === 'object' && 'isRight' in seen) {
    count(`look ${how}: seen`)
    assert.ok(!fates.includes('gone') || how === 'diff', `It was deleted, and is there: ${told()}`)
    assert.ok(seen.isRight || fates.includes('gone'), `I-1: wrong, ${told()}: ${seen.what}`)
    return
  }
  const what = typeof seen === 'string' ? seen : seen.code
  count(`look ${how}: ${what}`)
  if (!mustBeThere) return
  const isExcused =
    seen === 'broken'
      ? (['kill', 'postgres', 's3'] as const).some((cause) => weather.had(cause, asked.member, asked.start))
      : weather.excuses(what, { ...asked, touchesObjects: touchesObjects(state, other) })
  assert.ok(
    isExcused || !mustBeThere,
    `I-1: ${what} without a cause, ${told()}: ${JSON.stringify(reply).slice(0, 400)}`,
  )
}

function seenOf({ reply, how, state, other }: Looked): Seen | 'broken' {
  if (reply.kind === 'broken') return 'broken'
  const { status, body } = reply
  const isPlain = how === 'payload' || how === 'range' || how === 'value'
  // Of a coded state all of it may come where a part was asked for.
  if (how === 'range' && status === 200) return WAYS.payload.read(body, state, other)
  if (!isPlain || status < 400) return WAYS[how].read(body, state, other)
  const code = String(JSON.parse(body.toString()).code)
  return code === 'NOT_FOUND' ? 'nothing' : { code }
}

/** The index of a state and its lists are in the database; the state itself is not. */
function touchesObjects(...states: readonly State[]): boolean {
  return states.some(({ content, way }) => way === 'foreign' || content.sizeBytes > INLINE_MAX_BYTES)
}

async function lookAtList({ model, weather, count }: Stage, { runId }: State, asked: Asked): Promise<void> {
  const text = 'query($id: String!) { run(runId: $id) { snapshots(last: 50) { nodes { snapshotId digest } } } }'
  const body = Buffer.from(JSON.stringify({ query: text, variables: { id: runId } }))
  const headers = { 'content-type': 'application/json' }
  const reply = await exchange({ method: 'POST', url: `${asked.url}/graphql`, headers, body })
  if (reply.kind === 'broken') {
    assert.ok(weather.had('kill', asked.member, asked.start), `A connection broke: ${reply.why}, list of ${runId}`)
    return
  }
  const { data, errors } = JSON.parse(reply.body.toString())
  if (errors) {
    const code = String(errors[0].extensions?.code)
    count(`look list: ${code}`)
    assert.ok(weather.excuses(code, { ...asked, touchesObjects: false }), `${code} without a cause: list of ${runId}`)
    return
  }
  count('look list: seen')
  const listed = new Map<string, string | null>()
  for (const { snapshotId, digest } of data.run?.snapshots.nodes ?? []) listed.set(snapshotId, digest)
  for (const state of model.states()) {
    if (!listed.has(state.snapshotId)) continue
    assert.notEqual(model.fate(state, asked.start), 'gone', `It was deleted, and is listed: ${JSON.stringify(state)}`)
  }
}
