import { randomBytes } from 'node:crypto'
import { connect } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'
import type { Service, Unavailable } from '../services.ts'
import { findBinary, unpackDebian, unpackedEnvironment } from './binaries.ts'
import { freePort, type Host } from './host.ts'

type Kind = 'valkey' | 'redis'

const ATTEMPTS = 5

/** Valkey or Redis on loopback, with a password and without any file. */
export async function startKeyValue(kind: Kind, host: Host): Promise<Service | Unavailable> {
  const variable = `TEST_${kind.toUpperCase()}_URL`
  const given = process.env[variable]
  if (given) return { url: given }
  const found = await findServer(kind, host)
  if (!found) {
    return { unavailable: `${kind} is missing: put ${kind}-server on the PATH, or set ${variable}` }
  }
  const password = randomBytes(18).toString('base64url')
  for (let attempt = 1; attempt <= ATTEMPTS; attempt += 1) {
    const port = await freePort()
    // The settings come by stdin: arguments, and a password among them, would show in every list of processes.
    const input = [
      `bind 127.0.0.1`,
      `port ${port}`,
      `requirepass ${password}`,
      `dir ${host.folder}`,
      'save ""',
      '',
    ].join('\n')
    const server = await host.launch(found.command, { args: ['-'], env: found.env, input })
    while (!server.hasEnded()) {
      if (await accepts(port)) return { url: `redis://:${password}@127.0.0.1:${port}` }
      await delay(20)
    }
    if (attempt === ATTEMPTS) throw new Error(await server.log())
  }
  throw new Error(`${kind} found no free port`)
}

async function findServer(kind: Kind, host: Host) {
  const binary = await findBinary(`${kind}-server`)
  if (binary) return { command: binary, env: process.env }
  const root = await unpackDebian(host, { name: kind, packages: [`${kind}-server`] })
  return root === null ? null : { command: `${root}/usr/bin/${kind}-server`, env: await unpackedEnvironment(root) }
}

function accepts(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1')
    socket.once('connect', () => resolve(true)).once('error', () => resolve(false))
    socket.once('connect', () => socket.destroy())
  })
}
