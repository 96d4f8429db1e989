import { createServer } from 'node:http'
import { join } from 'node:path'
import type { Services } from '../services.ts'
import { startCeph } from './ceph.ts'
import { findChromium } from './chromium.ts'
import { createHost } from './host.ts'
import { startKeyValue, startValkeyCluster } from './key-value.ts'
import { findPgbouncer } from './pgbouncer.ts'
import { makeTemplate, startPostgres } from './postgres.ts'
import { findPostgresTools } from './postgres-tools.ts'
import { findPrometheus } from './prometheus.ts'
import { startSwift } from './swift.ts'

/** Serves `GET /<service>` on a socket, whose path it prints, until its stdin closes. */
const host = await createHost()
const postgres = once(() => startPostgres(host))

const starters: { readonly [Name in keyof Services]: () => Promise<Services[Name]> } = {
  postgres,
  'empty-template': once(async () => makeTemplate('empty', await postgres())),
  'migrated-template': once(async () => makeTemplate('migrated', await postgres())),
  valkey: once(() => startKeyValue('valkey', host)),
  redis: once(() => startKeyValue('redis', host)),
  'valkey-cluster': once(() => startValkeyCluster(host)),
  s3: once(() => startCeph(host)),
  swift: once(() => startSwift(host)),
  chromium: once(() => findChromium(host)),
  pgbouncer: once(() => findPgbouncer(host)),
  prometheus: once(() => findPrometheus(host)),
  'postgres-tools': once(() => findPostgresTools(host)),
}

const server = createServer((request, response) => {
  const name = request.url?.slice(1) ?? ''
  answer(name).then(
    (body) => response.end(JSON.stringify(body)),
    (error: unknown) => response.writeHead(500).end(error instanceof Error ? error.message : String(error)),
  )
})

const socketPath = join(host.folder, 'broker.sock')
server.listen(socketPath, () => process.stdout.write(`${socketPath}\n`))

// The pipe closes when the test runner ends, even when it was killed.
const stop = once(async () => {
  server.close()
  server.closeAllConnections()
  await host.stop()
  process.exit()
})
process.stdin.on('end', stop).on('error', stop).resume()
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, stop)

async function answer(name: string): Promise<unknown> {
  if (!isService(name)) throw new Error(`There is no service ${name}`)
  return starters[name]()
}

function isService(name: string): name is keyof Services {
  return Object.hasOwn(starters, name)
}

function once<Result>(action: () => Promise<Result>): () => Promise<Result> {
  let result: Promise<Result> | undefined
  return () => {
    result ??= action()
    return result
  }
}
