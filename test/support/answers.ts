import assert from 'node:assert/strict'
import type { GraphqlAnswer, TestServer } from './server.ts'

/** Code of each error by its path, such as `{ 'a.payload': 'OBJECT_MISSING' }`; an error without a path is at ``. */
export function codesByPath({ errors = [] }: Pick<GraphqlAnswer<unknown>, 'errors'>): Record<string, string> {
  return Object.fromEntries(errors.map(({ path = [], extensions }) => [path.join('.'), extensions.code]))
}

/** The codes of all errors, each once. */
export function codesOf({ errors = [] }: Pick<GraphqlAnswer<unknown>, 'errors'>): string[] {
  return [...new Set(errors.map(({ extensions }) => extensions.code))]
}

/** The data of an answer that must have no error. */
export async function dataOf<Data>(answer: Promise<GraphqlAnswer<Data>>): Promise<Data> {
  const { data, errors, status } = await answer
  assert.deepEqual({ errors, status }, { errors: undefined, status: 200 })
  return data
}

export interface CaptureAnswer {
  readonly created: boolean
  readonly snapshot: {
    readonly snapshotId: string
    readonly seq: number
    readonly sizeBytes: number
    readonly digest: string
    readonly storageTier: 'INLINE' | 'OBJECT'
    readonly storageState: string
    readonly storageUri: string | null
  }
}

export const CAPTURE = `mutation($input: CaptureSnapshotInput!) {
  captureSnapshot(input: $input) {
    created
    snapshot { snapshotId seq sizeBytes digest storageTier storageState storageUri }
  }
}`

/** Captures by the mutation; it must succeed. */
export async function capture(server: TestServer, input: object): Promise<CaptureAnswer> {
  const { captureSnapshot } = await dataOf(server.graphql<{ captureSnapshot: CaptureAnswer }>(CAPTURE, { input }))
  return captureSnapshot
}

/** Storage URI of a capture that must have become an object. */
export function uriOf({ snapshot }: CaptureAnswer): string {
  assert.ok(snapshot.storageUri !== null)
  return snapshot.storageUri
}

/** POSTs a body and gives the bytes of the answer. */
export async function rawPost(url: string, body: string): Promise<{ readonly status: number; readonly bytes: Buffer }> {
  const headers = { 'content-type': 'application/json', accept: 'application/graphql-response+json' }
  const response = await fetch(`${url}/graphql`, { method: 'POST', headers, body })
  return { status: response.status, bytes: Buffer.from(await response.arrayBuffer()) }
}

const PAYLOAD = 'query($id: ID!) { snapshotById(snapshotId: $id) { payload } }'

/** The bytes of a payload as they stand in the answer; nothing else may be in it. */
export async function payloadBytes(server: TestServer, snapshotId: string): Promise<Buffer> {
  return only(
    await rawPost(server.url, JSON.stringify({ query: PAYLOAD, variables: { id: snapshotId } })),
    'snapshotById',
  )
}

const UNCACHED =
  'query($runId: String!, $stepId: String!) { snapshot(runId: $runId, stepId: $stepId, useCache: false) { payload } }'

/** The same for the newest snapshot of a step, read through to storage. */
export async function uncachedBytes(server: TestServer, runId: string, stepId: string): Promise<Buffer> {
  return only(await rawPost(server.url, JSON.stringify({ query: UNCACHED, variables: { runId, stepId } })), 'snapshot')
}

function only({ status, bytes }: { status: number; bytes: Buffer }, field: string): Buffer {
  const head = `{"data":{"${field}":{"payload":`
  assert.equal(status, 200)
  assert.equal(bytes.subarray(0, head.length).toString(), head)
  assert.equal(bytes.subarray(-3).toString(), '}}}')
  return bytes.subarray(head.length, -3)
}

/** A payload whose JSON has exactly so many bytes of UTF-8, some of them in characters of four. */
export function payloadOf(sizeBytes: number): { readonly text: string } {
  const overhead = Buffer.byteLength(JSON.stringify({ text: '' }))
  const rest = sizeBytes - overhead
  const emoji = Math.floor(rest / 8)
  return { text: '🙂'.repeat(emoji) + 'x'.repeat(rest - emoji * 4) }
}

/** base64url of `["snapshots",` */
const SNAPSHOT_CURSOR = /"(WyJzbmFwc2hvdHMi[\w-]+)"/g

/** The answer without what its cursors hold of the moment: whatever else was under way in the database. */
export function withStableCursors(text: string): string {
  return text.replace(SNAPSHOT_CURSOR, (_whole, cursor: string) => {
    const parts: unknown[] = JSON.parse(Buffer.from(cursor, 'base64url').toString())
    return `"${Buffer.from(JSON.stringify(parts.slice(0, 2))).toString('base64url')}"`
  })
}
