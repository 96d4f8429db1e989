import { createGate, type Gate } from './gate.ts'

export interface AdmissionOptions {
  /** Most payloads that are streamed from storage at once. */
  readonly payloadStreamsMax?: number
  /** Most payloads on their way into storage at once. */
  readonly uploadStreamsMax?: number
  /** Bytes of payloads that are held in memory for clients, all together. */
  readonly memoryMaxBytes?: number
  /** Most callers that wait at each gate. */
  readonly maxQueue?: number
  /** Milliseconds that a caller waits before it is refused. */
  readonly queueMillis?: number
  /** How many processes share what is not told here; 1 when left out. */
  readonly processes?: number
}

/** Bounds what is scarce, each kind apart from the others, so that none of them is used up by another. */
export interface Admission {
  /** Payloads that are streamed out of storage, for as long as their reader takes: sockets and files. */
  readonly streams: Gate
  /** Objects that are read whole, as fast as the store gives them: sockets and files that no client holds. */
  readonly reads: Gate
  /** Payloads that are written to storage: sockets, and the parts that are on their way. */
  readonly uploads: Gate
  /** Uploads that are read back, or copied by the store, as fast as it does that: perhaps nobody waits for them any more. */
  readonly commits: Gate
  /** States that are read to their end for an index: whoever waits for it may leave. */
  readonly indexing: Gate
  /** Searches through states, one for each page of matches. */
  readonly searches: Gate
  /** Bytes that are held until their last reader has them. */
  readonly memory: Gate
  /** Bytes of batches of many states, whose states are then captured: those take what they need of the others. */
  readonly batches: Gate
}

/** Most objects that are read whole at once. */
export const READS_MAX = 32
const COMMITS_MAX = 12
/** Each of them keeps a core busy. */
const INDEXING_MAX = 2
const SEARCHES_MAX = 4
/** Whoever waits is told how far it is, long before. */
const INDEXING_QUEUE_MILLIS = 600_000
const DEFAULTS: Required<AdmissionOptions> = {
  payloadStreamsMax: 64,
  uploadStreamsMax: 24,
  memoryMaxBytes: 67_108_864,
  maxQueue: 256,
  queueMillis: 2000,
  processes: 1,
}

export function createAdmission(options: AdmissionOptions = {}): Admission {
  const limits = { ...DEFAULTS, ...options }
  const gate = (capacity: number) => createGate({ ...limits, capacity })
  const share = (capacity: number) => Math.max(1, Math.floor(capacity / limits.processes))
  return {
    streams: gate(limits.payloadStreamsMax),
    reads: gate(Math.min(share(READS_MAX), limits.payloadStreamsMax)),
    // Whoever sends has begun already, and would have to send it anew.
    uploads: createGate({ ...limits, capacity: limits.uploadStreamsMax, queueMillis: 5 * limits.queueMillis }),
    commits: gate(Math.min(share(COMMITS_MAX), limits.uploadStreamsMax)),
    indexing: createGate({ ...limits, capacity: share(INDEXING_MAX), queueMillis: INDEXING_QUEUE_MILLIS }),
    searches: createGate({ ...limits, capacity: share(SEARCHES_MAX), queueMillis: 5 * limits.queueMillis }),
    memory: gate(limits.memoryMaxBytes),
    batches: gate(limits.memoryMaxBytes),
  }
}
