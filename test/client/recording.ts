import { type Client, type ClientOptions, createClient } from '../../src/client/client.ts'

export interface RecordingClient extends Client {
  /** `METHOD path` of each request so far, without its query; addresses of other hosts as `METHOD elsewhere`. */
  readonly requests: string[]
  /** What each request said of its authorization; null for nothing. */
  readonly authorizations: (string | null)[]
}

/** A client whose requests can be looked at; they are sent as they are. */
export function recordingClient(options: ClientOptions): RecordingClient {
  const requests: string[] = []
  const authorizations: (string | null)[] = []
  const { fetch = globalThis.fetch } = options
  const record: typeof globalThis.fetch = (input, init) => {
    const { origin, pathname } = new URL(String(input))
    requests.push(`${init?.method} ${origin === new URL(options.url).origin ? pathname : 'elsewhere'}`)
    authorizations.push(new Headers(init?.headers).get('authorization'))
    return fetch(input, init)
  }
  return { ...createClient({ ...options, fetch: record }), requests, authorizations }
}

/** The bytes, in pieces of this size. */
export async function* inPieces(bytes: Uint8Array, size: number): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size)
}

/** Bytes of a stored payload, by the plain route. */
export async function storedBytes(origin: string, { snapshotId }: { readonly snapshotId: string }): Promise<Buffer> {
  const response = await fetch(`${origin}/snapshots/${snapshotId}/payload`)
  if (!response.ok) throw new Error(`GET of the payload answered ${response.status}`)
  return Buffer.from(await response.arrayBuffer())
}
