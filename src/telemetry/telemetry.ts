import type { Spans } from './spans.ts'

/** Where a payload lies. */
export type Tier = 'inline' | 'object'
/** How bytes of a payload go out, or come in. */
export type Way = 'whole' | 'range' | 'part' | 'diff' | 'link' | 'capture' | 'upload'

/** How an operation, a statement or a call ended: `partial` has data beside its errors. */
export type OperationOutcome = 'ok' | 'partial' | 'failed'

/** One answer on its way, or a connection that was asked for. */
export interface AnsweredRequest {
  /** Template of its path, such as `/snapshots/{snapshotId}/payload`; `none` where nothing is served. */
  readonly route: string
  readonly method: string
  /** 0 where there was none: its client left before. */
  readonly status: number
  /** From its head to the end of its answer; undefined for answers that last as long as somebody listens. */
  readonly seconds: number | undefined
  /** Whether its client has less than all of it. */
  readonly isCut: boolean
}

/** What one pass of a task in the background has done. */
export interface UpkeepPass {
  /** Of the things that it looks after: how many were dealt with, and how many could not be. */
  readonly done: number
  readonly failed: number
  /** Whether the pass came to its end without a problem. */
  readonly isComplete: boolean
}

/**
 * What the rooms tell of their work; what is made of it is not theirs to know. Every method returns at once, never throws, and costs
 * less than a microsecond. Names are bounded by whoever tells them, but for those of operations, which are bounded behind this.
 */
export interface Telemetry {
  /** Undefined while nobody collects traces: then there is nothing to be asked for, and nothing to be paid. */
  readonly spans: Spans | undefined
  requestBegan(): void
  requestEnded(answered: AnsweredRequest): void
  /** Asked once for each operation that is known. @returns told of each time that it is executed. */
  operation(name: string | undefined, type: string): (seconds: number, outcome: OperationOutcome) => void
  /** A failure that a client was told of, by its code. */
  failed(code: string): void
  /** Bytes of a payload, once they have gone out or are stored. */
  payloadBytes(direction: 'in' | 'out', bytes: number, of: { readonly tier: Tier; readonly way: Way }): void
  /** @param verb of SQL, such as `SELECT`. Asked once for each text. @returns told of each time that it is over. */
  statement(verb: string): (seconds: number, isFailed: boolean) => void
  /** @param code of a failure; undefined where there was none. */
  storageCall(call: { readonly scheme: string; readonly operation: string }, seconds: number, code?: string): void
  cacheRead(isHit: boolean): void
  /** The cache did not do as it was asked; nobody was told but this. */
  cacheFailed(): void
  /** @param name of what is not asked while it is open. @returns told when it opens, and when it closes. */
  breaker(name: string): (isOpen: boolean) => void
  /** @param task such as `sweep`; one more needs nothing but its name here. */
  upkeep(task: string): (pass: UpkeepPass) => void
}

const nothing = (): void => {}

/** Nobody listens. */
export const SILENT: Telemetry = {
  spans: undefined,
  requestBegan: nothing,
  requestEnded: nothing,
  operation: () => nothing,
  failed: nothing,
  payloadBytes: nothing,
  statement: () => nothing,
  storageCall: nothing,
  cacheRead: nothing,
  cacheFailed: nothing,
  breaker: () => nothing,
  upkeep: () => nothing,
}
