import { randomBytes } from 'node:crypto'
import { connect } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'
import { Redis } from 'iovalkey'
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
  return { url: urlOf(password, await startNode(found, { host, password, settings: [] })) }
}

const NODES = 3
const SLOTS = 16_384

export interface ClusterOptions {
  /** Each node with slots has another one that copies it, and takes over when it is gone. */
  readonly hasCopies?: boolean
}

interface Node {
  readonly port: number
  readonly busPort: number
  readonly client: Redis
}

/** Three nodes of Valkey, each with a third of the slots, and none with a copy unless told. */
export async function startValkeyCluster(
  host: Host,
  { hasCopies = false }: ClusterOptions = {},
): Promise<Service | Unavailable> {
  const found = await findServer('valkey', host)
  if (!found) return { unavailable: 'valkey is missing: put valkey-server on the PATH' }
  const password = randomBytes(18).toString('base64url')
  const start = () => startClusterNode(found, host, password)
  const nodes = await Promise.all(Array.from({ length: hasCopies ? 2 * NODES : NODES }, start))
  const [first] = nodes
  if (!first) throw new Error('a cluster has nodes')
  for (const [index, { client }] of nodes.slice(0, NODES).entries()) {
    const [from, to] = [index, index + 1].map((third) => Math.floor((SLOTS * third) / NODES))
    await client.call('CLUSTER', 'ADDSLOTSRANGE', String(from), String(Number(to) - 1))
  }
  for (const { port, busPort } of nodes) {
    await first.client.call('CLUSTER', 'MEET', '127.0.0.1', String(port), String(busPort))
  }
  for (const { client } of nodes) while (!(await isWhole(client, nodes.length))) await delay(50)
  for (const [index, { client }] of nodes.slice(NODES).entries()) {
    const id = String(await nodes[index]?.client.call('CLUSTER', 'MYID'))
    await client.call('CLUSTER', 'REPLICATE', id)
    while (!String(await client.info('replication')).includes('master_link_status:up')) await delay(50)
  }
  for (const { client } of nodes) client.disconnect()
  return { url: urlOf(password, first.port) }
}

async function startClusterNode(found: Found, host: Host, password: string): Promise<Node> {
  // Its own port for the nodes among themselves: the usual one is 10,000 higher, and may not exist.
  const busPort = await freePort()
  const settings = ['cluster-enabled yes', `cluster-config-file nodes-${busPort}.conf`, `cluster-port ${busPort}`]
  const wait = ['cluster-node-timeout 2000', `masterauth ${password}`]
  const port = await startNode(found, { host, password, settings: [...settings, ...wait] })
  return { port, busPort, client: new Redis(urlOf(password, port)) }
}

async function isWhole(client: Redis, nodes: number): Promise<boolean> {
  const info = String(await client.call('CLUSTER', 'INFO'))
  return info.includes('cluster_state:ok') && info.includes(`cluster_known_nodes:${nodes}`)
}

function urlOf(password: string, port: number): string {
  return `redis://:${password}@127.0.0.1:${port}`
}

interface Found {
  readonly command: string
  readonly env: NodeJS.ProcessEnv
}

interface NodeOptions {
  readonly host: Host
  readonly password: string
  /** Lines of its configuration, beside those of every node. */
  readonly settings: readonly string[]
}

/** @returns the port it listens on. */
async function startNode(found: Found, { host, password, settings }: NodeOptions): Promise<number> {
  for (let attempt = 1; attempt <= ATTEMPTS; attempt += 1) {
    const port = await freePort()
    // The settings come by stdin: arguments, and a password among them, would show in every list of processes.
    const lines = ['bind 127.0.0.1', `port ${port}`, `requirepass ${password}`, `dir ${host.folder}`, 'save ""']
    const input = [...lines, ...settings, ''].join('\n')
    const server = await host.launch(found.command, { args: ['-'], env: found.env, input })
    while (!server.hasEnded()) {
      if (await accepts(port)) return port
      await delay(20)
    }
    if (attempt === ATTEMPTS) throw new Error(await server.log())
  }
  throw new Error('no free port was found')
}

async function findServer(kind: Kind, host: Host): Promise<Found | null> {
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
