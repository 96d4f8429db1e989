import type { Snapshot } from '../../metrics/metrics.ts'
import type { WriteMark } from '../../model/position.ts'
import type { Slot } from './share.ts'

/** What a worker is told before it starts. */
export interface Briefing extends Slot {
  /** Configured or embedded. */
  readonly databaseUrl: string
  readonly signedUrlSecrets: readonly string[]
  readonly isOnDuty: boolean
}

/** Points that were taken at once. */
export interface Lease {
  readonly points: number
  /** Without points: after so long there are some. */
  readonly waitSeconds: number
}

/** What the primary does for a worker. */
export type PrimaryCalls = {
  /** It listens, and this is the base of its links. */
  ready(publicUrl: string): void
  /** It cannot go on, for a reason that its operator can do something about. */
  failed(message: string): void
  /** It was told to end, by somebody else. */
  leaving(): void
  takePoints(key: string): Lease
  chargePoints(key: string, points: number): void
  enter(viewer: string): void
  leave(viewer: string): void
  /** Resolves when all the others know. */
  noteWrite(mark: WriteMark): Promise<void>
  /** What each of the workers has collected, this one among them; of one that does not answer nothing. */
  gatherMetrics(): Promise<readonly Snapshot[]>
}

/** What a worker does for the primary. */
export type WorkerCalls = {
  brief(briefing: Briefing): void
  /** Whether it does what is done once a server. */
  setDuty(duty: 'on' | 'off'): void
  /** The server stops. */
  drain(listenOnMillis: number): void
  /** Another worker has taken its place. */
  retire(listenOnMillis: number): void
  noteWrite(mark: WriteMark): void
  collectMetrics(): Promise<Snapshot> | Snapshot
}
