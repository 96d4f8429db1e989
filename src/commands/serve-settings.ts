import type { Config } from '../config.ts'
import type { Logger } from '../log.ts'
import { isAnyAddress } from '../server/hosts.ts'

/** Milliseconds that new connections are taken once the server was told to stop. */
export function listensOnAfter(told: string, { drainDelaySeconds }: Config): number {
  return told === 'SIGTERM' ? drainDelaySeconds * 1000 : 0
}

/** Of what may be meant so, and is odd. */
export function warnAboutSettings(config: Config, log: Logger): void {
  if (config.publicUrl === undefined && isAnyAddress(config.host)) {
    log.warn('PUBLIC_URL is not set: nobody is served who comes by an address or name of a network')
  }
  if (config.databaseUrl !== undefined && config.storageBackend === 'filesystem') {
    log.warn('large states go to a folder of this machine: every server on this database must have that same folder')
  }
}
