import { type Outcome, readMutation, settle } from './captures.ts'
import { exchange, type Reply } from './exchange.ts'
import type { Attempt } from './model.ts'
import type { Asked, Stage } from './play.ts'

interface Header {
  readonly name: string
  readonly value: string
}

interface Place {
  readonly url: string
  readonly headers: readonly Header[]
}

export interface UploadTicket {
  readonly uploadId: string
  readonly alreadyStored: boolean
  readonly url: string | null
  readonly headers: readonly Header[]
  readonly parts: readonly (Place & { readonly offset: number; readonly sizeBytes: number })[]
}

const BEGIN = `mutation($input: BeginSnapshotUploadInput!) { beginSnapshotUpload(input: $input) {
  uploadId alreadyStored url headers { name value } parts { url headers { name value } offset sizeBytes } } }`
const COMMIT = `mutation($id: ID!) { commitSnapshotUpload(uploadId: $id) { created snapshot { snapshotId digest } } }`

interface Sent {
  readonly bytes: Buffer
  readonly member: number
}

/** Begin, bytes, commit: each of the server that is there then. An abandoned one is never committed. */
export async function uploadState(stage: Stage, attempt: Attempt, { bytes, member }: Sent): Promise<void> {
  const begun = await stage.ask(member)
  const ticket = readTicket(await beginUpload(begun, attempt, bytes))
  if ('kind' in ticket) {
    settle(stage, attempt, ticket, begun)
    // Nothing was committed: it can never be there.
    attempt.outcome = 'refused'
    return
  }
  const failure = await sendBytes(stage, ticket, { bytes, member })
  if (attempt.way === 'abandoned upload') {
    attempt.outcome = 'refused'
    stage.count('capture abandoned upload: abandoned')
    return
  }
  const asked = await stage.ask(member + 1)
  const reply = await commitUpload(asked, ticket.uploadId)
  const outcome = readMutation(reply, 'commitSnapshotUpload')
  if (isAllowedMiss(outcome, failure !== null || ticket.alreadyStored)) {
    attempt.outcome = 'unknown'
    stage.count('capture upload: not arrived')
    return
  }
  settle(stage, attempt, outcome, asked)
}

/** What was to be copied may be deleted by now, and what was sent may not have arrived: then nothing is there. */
function isAllowedMiss(outcome: Outcome, isExpected: boolean): boolean {
  return isExpected && outcome.kind === 'refused' && outcome.code === 'OBJECT_MISSING'
}

export function beginUpload({ url }: Asked, { runId, stepId, key, digest }: Attempt, bytes: Buffer): Promise<Reply> {
  const input = { runId, stepId, idempotencyKey: key, sizeBytes: bytes.length, digest }
  return ask(url, { query: BEGIN, variables: { input } })
}

export function commitUpload({ url }: Pick<Asked, 'url'>, uploadId: string): Promise<Reply> {
  return ask(url, { query: COMMIT, variables: { id: uploadId } })
}

export function readTicket(reply: Reply): UploadTicket | Exclude<Outcome, { kind: 'stored' }> {
  if (reply.kind === 'broken') return reply
  const { data, errors } = JSON.parse(reply.body.toString())
  return errors ? { kind: 'refused', code: String(errors[0].extensions?.code) } : data.beginSnapshotUpload
}

/** @returns why they did not arrive, as far as their sender knows. */
export async function sendBytes(stage: Stage, ticket: UploadTicket, { bytes, member }: Sent): Promise<string | null> {
  for (const { place, range } of placesOf(ticket, bytes)) {
    const reply = await exchange(await sendOf(stage, member, place, range))
    if (reply.kind === 'broken') return reply.why
    if (reply.status >= 300 && reply.status !== 412) return String(reply.status)
  }
  return null
}

/** Where the server takes the bytes itself, a link leads to whichever one is there. */
export async function sendOf(stage: Stage, member: number, place: Place, body: Buffer) {
  const { url } = await stage.ask(member)
  const headers = Object.fromEntries(place.headers.map(({ name, value }) => [name, value]))
  const target = new URL(place.url)
  const isOurs = target.pathname.startsWith('/uploads/')
  return { method: 'PUT', url: isOurs ? `${url}${target.pathname}${target.search}` : place.url, headers, body }
}

export function placesOf({ url, headers, parts }: UploadTicket, bytes: Buffer) {
  const whole = url === null ? [] : [{ place: { url, headers }, range: bytes }]
  const ranges = parts.map(({ offset, sizeBytes, ...place }) => ({
    place,
    range: bytes.subarray(offset, offset + sizeBytes),
  }))
  return [...whole, ...ranges]
}

function ask(url: string, operation: object): Promise<Reply> {
  const headers = { 'content-type': 'application/json' }
  return exchange({ method: 'POST', url: `${url}/graphql`, headers, body: Buffer.from(JSON.stringify(operation)) })
}
