import type { Config } from '../../config.ts'
import { CONNECTIONS_MAX } from '../../server/listen.ts'

/** Which of the workers of a server. */
export interface Slot {
  /** From 0 on. */
  readonly slot: number
  readonly workers: number
}

/** Of what a whole server may have at once, the part of one worker: all parts together are the whole. */
export function partOf(whole: number, { slot, workers }: Slot): number {
  return Math.floor(whole / workers) + (slot < whole % workers ? 1 : 0)
}

/** The settings of one worker. What is counted by viewer stays as it is: the primary counts it. */
export function shareOf(config: Config, slot: Slot): Config {
  return {
    ...config,
    payloadStreamsMax: partOf(config.payloadStreamsMax, slot),
    uploadStreamsMax: partOf(config.uploadStreamsMax, slot),
    payloadMemoryMaxBytes: partOf(config.payloadMemoryMaxBytes, slot),
    databaseConnectionsMax: partOf(config.databaseConnectionsMax, slot),
  }
}

export function connectionsOf(slot: Slot): number {
  return partOf(CONNECTIONS_MAX, slot)
}
