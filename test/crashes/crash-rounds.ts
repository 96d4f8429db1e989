import assert from 'node:assert/strict'
import { once } from 'node:events'
import { type ClientRequest, request } from 'node:http'
import { setTimeout as delay } from 'node:timers/promises'
import pg from 'pg'
import { mutationOf, putOf, send } from '../history/captures.ts'
import { bytesOf, digestOf } from '../history/contents.ts'
import { playDelete } from '../history/deletes.ts'
import type { Exchange } from '../history/exchange.ts'
import type { Attempt } from '../history/model.ts'
import type { Way } from '../history/operations.ts'
import type { Stage } from '../history/play.ts'
import type { Replica } from '../history/replica.ts'
import {
  beginUpload,
  commitUpload,
  placesOf,
  readTicket,
  sendBytes,
  sendOf,
  type UploadTicket,
  uploadState,
} from '../history/upload.ts'
import type { CrashCase, Doing } from './crash-cases.ts'
import type { CrashPoint } from './crash-points.ts'

const REACHED_MS = 60_000
const MEMBER = 0

/** Every step is another state, so that nothing of one explains another. */
let number = 1_000_000

/**
 * Kills the server at that point, starts it again, and has the capture sent once more: it must be stored then, and only once. What else
 * must be so is told by `checkAll`, when all rounds are over.
 */
export async function playCrash(stage: Stage, { doing, at, sizeBytes }: CrashCase): Promise<void> {
  const { world, model, weather } = stage
  const replica = world.members[MEMBER]?.replica
  assert.ok(replica)
  await world.startAll()
  const content = { number: number++, sizeBytes }
  const bytes = bytesOf(content)
  const attempt = model.begin({
    way: wayOf(doing),
    runId: `run of ${doing} ${content.number}`,
    stepId: 'step',
    key: doing === 'old writer' ? null : `key ${content.number}`,
    content,
    digest: digestOf(bytes),
  })
  const over = weather.begin('kill', MEMBER)
  await ACTS[doing]({ stage, replica, attempt, bytes, at })
  over()
  await replica.start()
  if (model.hasOpenDeletions()) {
    await world.quiet()
    model.settleDeletions()
  }
  if (attempt.key !== null && attempt.outcome !== 'acknowledged') await repeat(stage, attempt, bytes)
}

interface Act {
  readonly stage: Stage
  readonly replica: Replica
  readonly attempt: Attempt
  readonly bytes: Buffer
  readonly at: CrashCase['at']
}

const ACTS: Readonly<Record<Doing, (act: Act) => Promise<void>>> = {
  mutation: crashCapture,
  put: crashCapture,
  'puts together': crashTogether,
  chunked: crashCapture,
  gzip: crashCapture,
  begin: (act) => killedAt(act, () => begin(act).then(() => {})),
  send: crashSend,
  commit: crashCommit,
  delete: crashDelete,
  'delete run': crashDelete,
  'old writer': crashOldWriter,
}

function wayOf(doing: Doing): Way {
  if (doing === 'delete' || doing === 'delete run' || doing === 'puts together') return 'put'
  return doing === 'begin' || doing === 'send' || doing === 'commit' ? 'upload' : doing
}

/** Does something while the server is told to end at a point of it. @throws AssertionError where it never comes there. */
async function killedAt({ replica, at }: Act, work: () => Promise<void>): Promise<void> {
  const { ended } = replica
  await replica.arm(at as CrashPoint)
  await work()
  const late = new AbortController()
  const timer = delay(REACHED_MS, undefined, { signal: late.signal }).catch(() => {})
  await Promise.race([ended, timer])
  late.abort()
  assert.equal(await replica.disarm(), true, `The server never came to: ${at}`)
}

async function crashCapture(act: Act): Promise<void> {
  const { stage, attempt, bytes, at } = act
  if (at !== 'half a body') return await killedAt(act, () => send(stage, attempt, { bytes, member: MEMBER }))
  const asked = await stage.ask(MEMBER)
  await sendHalf(act, attempt.way === 'mutation' ? mutationOf(asked, attempt, bytes) : putOf(asked, attempt, bytes))
}

const TOGETHER = 8

/** Several at once, again and again until some of them are stored together. */
async function crashTogether(act: Act): Promise<void> {
  const { stage, attempt, bytes, replica } = act
  const { sizeBytes } = attempt.content
  await killedAt(act, async () => {
    const one = send(stage, attempt, { bytes, member: MEMBER })
    while (replica.url !== undefined)
      await Promise.all(Array.from({ length: TOGETHER }, () => sendAnother(stage, { sizeBytes })))
    await one
  })
}

interface Another {
  /** Default one of its own. */
  readonly runId?: string
  readonly sizeBytes: number
}

async function sendAnother(stage: Stage, { sizeBytes, runId = `run of ${number}` }: Another): Promise<void> {
  const content = { number: number++, sizeBytes }
  const bytes = bytesOf(content)
  const named = { runId, stepId: 'step', key: `key ${content.number}`, content }
  const attempt = stage.model.begin({ ...named, digest: digestOf(bytes), way: 'put' })
  await send(stage, attempt, { bytes, member: MEMBER })
}

/** Killed when half of the body is on its way. */
async function sendHalf({ replica, attempt }: Act, { url, method, headers, body }: Exchange): Promise<void> {
  attempt.outcome = 'unknown'
  const length = { 'content-length': String(body?.length) }
  const sent: ClientRequest = request(url, { method, headers: { ...length, ...headers }, agent: false })
  const broken = once(sent, 'error')
  await new Promise<void>((resolve) => sent.write(body?.subarray(0, body.length >> 1), () => resolve()))
  await replica.kill()
  await broken
}

async function begin({ stage, attempt, bytes }: Act): Promise<UploadTicket | null> {
  const ticket = readTicket(await beginUpload(await stage.ask(MEMBER), attempt, bytes))
  if (!('kind' in ticket)) return ticket
  // It was never committed.
  attempt.outcome = 'refused'
  return null
}

async function begun(act: Act): Promise<UploadTicket> {
  const ticket = await begin(act)
  assert.ok(ticket, 'The upload was not begun')
  return ticket
}

async function crashSend(act: Act): Promise<void> {
  const { stage, bytes, at } = act
  const ticket = await begun(act)
  act.attempt.outcome = 'refused'
  if (at !== 'half a body') {
    return await killedAt(act, () => sendBytes(stage, ticket, { bytes, member: MEMBER }).then(() => {}))
  }
  for (const { place, range } of placesOf(ticket, bytes)) {
    await sendHalf(act, await sendOf(stage, MEMBER, place, range))
    act.attempt.outcome = 'refused'
  }
}

async function crashCommit(act: Act): Promise<void> {
  const { stage, attempt, bytes } = act
  const ticket = await begun(act)
  assert.equal(await sendBytes(stage, ticket, { bytes, member: MEMBER }), null)
  await killedAt(act, async () => {
    attempt.outcome = 'unknown'
    await commitUpload(await stage.ask(MEMBER), ticket.uploadId)
  })
  // The commit itself can be asked for again.
  const asked = await stage.ask(MEMBER)
  const reply = await commitUpload(asked, ticket.uploadId)
  assert.ok(reply.kind === 'answer')
  const { data } = JSON.parse(reply.body.toString())
  const { created, snapshot } = data.commitSnapshotUpload
  stage.model.acknowledge(attempt, { ...snapshot, created })
}

async function crashDelete(act: Act): Promise<void> {
  const { stage, attempt, bytes } = act
  await send(stage, attempt, { bytes, member: MEMBER })
  const which = stage.model.states().length - 1
  const doomed = stage.model.states()[which]
  assert.equal(doomed?.digest, attempt.digest)
  await killedAt(act, () =>
    playDelete(
      stage,
      act.at.includes('run')
        ? { do: 'delete run', run: attempt.runId, member: MEMBER }
        : { do: 'delete', which, member: MEMBER },
    ),
  )
}

/** Another program, and not the server, is the one that ends; or both, where the server is at a capture. */
async function crashOldWriter(act: Act): Promise<void> {
  const { stage, attempt, bytes, at, replica } = act
  const client = new pg.Client({ connectionString: stage.world.databaseUrl })
  client.on('error', () => {})
  await client.connect()
  await client.query('begin')
  const { rows } = await client.query<{ id: string }>(
    'insert into state_snapshots (run_id, step_id, snapshot) values ($1, $2, $3) returning id',
    [attempt.runId, attempt.stepId, bytes.toString()],
  )
  const commit = () => client.query('commit').catch(() => {})
  const end = () => (client as unknown as { connection: { stream: { destroy(): void } } }).connection.stream.destroy()
  if (at === 'old writer before its commit') {
    attempt.outcome = 'refused'
  } else if (at === 'old writer at its commit') {
    attempt.outcome = 'unknown'
    void commit()
  } else {
    if (at === 'during capture') await killWhileCapturing({ ...act, replica })
    await commit()
    stage.model.acknowledge(attempt, { snapshotId: String(rows[0]?.id), digest: null, created: true })
  }
  end()
  await stage.world.quiet()
}

async function killWhileCapturing(act: Act): Promise<void> {
  await killedAt(act, () => sendAnother(act.stage, { runId: act.attempt.runId, sizeBytes: 60_000 }))
}

/** The same capture by its key, as a producer sends it again. */
async function repeat(stage: Stage, { runId, stepId, key, content, digest, way }: Attempt, bytes: Buffer) {
  const again = stage.model.begin({ runId, stepId, key, content, digest, way })
  if (way === 'upload') await uploadState(stage, again, { bytes, member: MEMBER })
  else await send(stage, again, { bytes, member: MEMBER })
  assert.equal(again.outcome, 'acknowledged', `It was not stored when it was sent again: ${JSON.stringify(again)}`)
}
