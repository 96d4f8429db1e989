import cluster from 'node:cluster'
import { randomBytes } from 'node:crypto'
import type { Config } from '../../config.ts'
import { createLogger } from '../../log.ts'
import { openDatabase } from '../open-database.ts'
import { listensOnAfter, warnAboutSettings } from '../serve-settings.ts'
import { listenForStop } from '../stopping.ts'
import { createStaff, type Staff } from './staff.ts'

/** `serve` by several processes: this one hands out connections and what there is once a server, and the workers do the work. */
export async function serveByWorkers(config: Config, unknownSettings: readonly string[]): Promise<number> {
  // What answers requests is loaded where it is needed: this process has none.
  if (cluster.isWorker) return await (await import('./worker.ts')).runWorker(config)
  const log = createLogger({ level: config.logLevel, worker: null })
  for (const name of unknownSettings) log.warn({ name }, 'that is no setting: misspelt?')
  const restarts = listenForRestart()
  const stopping = listenForStop(log, restarts ? ['SIGTERM', 'SIGINT'] : undefined)
  const database = await openDatabase(config)
  const briefing = { databaseUrl: database.url, signedUrlSecrets: secretsOf(config) }
  const staff = createStaff({ config, log, briefing })
  let listenOnMillis = 0
  try {
    const url = await Promise.race([staff.start(), stopping.then(() => null)])
    if (url !== null) {
      log.info({ url: `${url}/graphql`, workers: config.workers }, 'listening')
      if (config.signedUrlSecrets.length === 0) {
        log.warn('SIGNED_URL_SECRET is not set: signed links end when this process does')
      }
      warnAboutSettings(config, log)
      restarts?.begin(staff)
    }
    const told = await Promise.race([stopping, staff.failure])
    listenOnMillis = listensOnAfter(told, config)
    log.info({ reason: told, listensOnSeconds: listenOnMillis / 1000 }, 'draining')
  } finally {
    await staff.stop(listenOnMillis)
    log.info('ended')
    await database.stop()
  }
  return 0
}

/** Links that one of them made are good at all. */
function secretsOf({ signedUrlSecrets }: Config): readonly string[] {
  return signedUrlSecrets.length > 0 ? signedUrlSecrets : [randomBytes(32).toString('base64url')]
}

/**
 * SIGHUP restarts the workers. Undefined on a terminal: there it says that the terminal was closed, and stops the server as it does
 * without workers.
 */
function listenForRestart(): { begin(staff: Staff): void } | undefined {
  if (process.stdin.isTTY || process.stdout.isTTY || process.stderr.isTTY) return undefined
  let asked = false
  let staff: Staff | undefined
  process.on('SIGHUP', () => {
    asked = true
    void staff?.restart()
  })
  return {
    begin(started) {
      staff = started
      if (asked) void staff.restart()
    },
  }
}
