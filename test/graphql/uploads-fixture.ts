import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { type CaptureAnswer, dataOf } from '../support/answers.ts'
import { query } from '../support/rows.ts'
import type { GraphqlAnswer, TestServer } from '../support/server.ts'

interface Headers {
  readonly name: string
  readonly value: string
}

export interface Ticket {
  readonly uploadId: string
  readonly alreadyStored: boolean
  readonly direct: boolean
  readonly method: string
  readonly url: string | null
  readonly headers: readonly Headers[]
  readonly parts: readonly {
    readonly partNumber: number
    readonly url: string
    readonly headers: readonly Headers[]
    readonly offset: number
    readonly sizeBytes: number
  }[]
  readonly expiresAt: string
}

const BEGIN = `mutation($input: BeginSnapshotUploadInput!) {
  beginSnapshotUpload(input: $input) {
    uploadId alreadyStored direct method url headers { name value } expiresAt
    parts { partNumber url headers { name value } offset sizeBytes }
  }
}`

const COMMIT = `mutation($id: ID!) {
  commitSnapshotUpload(uploadId: $id) {
    created
    snapshot { snapshotId seq sizeBytes digest storageTier storageState storageUri }
  }
}`

export function digestOf(payload: Buffer): string {
  return `sha256:${createHash('sha256').update(payload).digest('hex')}`
}

/** What a client says of a payload before it sends it. */
export function announced(payload: Buffer): { readonly sizeBytes: number; readonly digest: string } {
  return { sizeBytes: payload.length, digest: digestOf(payload) }
}

export function tryBegin(server: TestServer, input: object) {
  return server.graphql<{ beginSnapshotUpload: Ticket }>(BEGIN, { input: { runId: 'run', stepId: 'step', ...input } })
}

/** Begins an upload of the payload; it must succeed. */
export async function begin(server: TestServer, payload: Buffer, input: object = {}): Promise<Ticket> {
  return (await dataOf(tryBegin(server, { ...announced(payload), ...input }))).beginSnapshotUpload
}

export function tryCommit(
  server: TestServer,
  id: string,
): Promise<GraphqlAnswer<{ commitSnapshotUpload: CaptureAnswer }>> {
  return server.graphql(COMMIT, { id })
}

/** Commits an upload; it must succeed. */
export async function commit(server: TestServer, { uploadId }: Pick<Ticket, 'uploadId'>): Promise<CaptureAnswer> {
  return (await dataOf(tryCommit(server, uploadId))).commitSnapshotUpload
}

/** One PUT as a ticket tells it. @returns the status. */
export async function putTo(
  { url, headers }: { readonly url: string | null; readonly headers: readonly Headers[] },
  body: Buffer,
): Promise<number> {
  assert.ok(url !== null)
  const names = Object.fromEntries(headers.map(({ name, value }) => [name, value]))
  // fetch refuses a length that is not the body's.
  const { 'content-length': _length, ...rest } = names
  const response = await fetch(url, { method: 'PUT', headers: rest, body: new Uint8Array(body) })
  await response.arrayBuffer()
  return response.status
}

/** Sends all of a payload, at once or in parts; the store must take it. */
export async function sendAll(ticket: Ticket, payload: Buffer): Promise<void> {
  if (ticket.url !== null) assert.ok((await putTo(ticket, payload)) < 300)
  for (const part of ticket.parts) {
    const { offset, sizeBytes } = part
    assert.ok((await putTo(part, payload.subarray(offset, offset + sizeBytes))) < 300)
  }
}

/** Lets the time of every upload be over. */
export async function expireUploads(databaseUrl: string): Promise<void> {
  const past = "now() - interval '1 second'"
  await query(databaseUrl, `update statelens_uploads set expires_at = ${past}, not_before = ${past}`)
  await query(
    databaseUrl,
    `update statelens_objects set not_before = ${past}, created_at = ${past} where state = 'pending'`,
  )
}
