import { randomBytes } from 'node:crypto'
import { mkdir, writeFile } from 'node:fs/promises'
import { userInfo } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import type { S3Service, Unavailable } from '../services.ts'
import { isExecutable, unpackDebian, unpackedEnvironment } from './binaries.ts'
import { withBucket } from './buckets.ts'
import { freePort, type Host } from './host.ts'

const SERVERS = fileURLToPath(new URL('swift-servers.py', import.meta.url))
const KINDS = ['account', 'container', 'object'] as const
/** The system's own: the packages hold no program of another version. */
const PYTHON = '/usr/bin/python3'
/** What its signatures name. */
const REGION = 'us-east-1'
const USER = 'test:test'

/** OpenStack Swift on one disk, by its S3 interface: another program than Ceph's, which checks signatures as well. */
export async function startSwift(host: Host): Promise<S3Service | Unavailable> {
  const packages = ['memcached', 'swift-proxy', ...KINDS.map((kind) => `swift-${kind}`)]
  const root = (await isExecutable(PYTHON)) ? await unpackDebian(host, { name: 'swift', packages }) : null
  if (root === null) return { unavailable: 'OpenStack Swift is missing: it is had on Debian alone, with its python3' }
  const folder = join(host.folder, 'swift')
  await mkdir(join(folder, 'devices', 'disk'), { recursive: true })
  const secretKey = randomBytes(20).toString('hex')
  const env = await unpackedEnvironment(root)
  const cachePort = await freePort()
  const cacheArgs = ['-l', '127.0.0.1', '-p', String(cachePort), '-U', '0', '-u', userInfo().username]
  await host.launch(join(root, 'usr', 'bin', 'memcached'), { args: cacheArgs, env })
  const endpoint = `http://127.0.0.1:${await writeSettings({ folder, secretKey, cachePort })}`
  const server = await host.launch(PYTHON, { args: [SERVERS, folder], env })
  while (!(await answers(endpoint))) {
    if (server.hasEnded()) throw new Error(`OpenStack Swift ended: ${(await server.log()).slice(-2000)}`)
    await delay(50)
  }
  return await withBucket({ endpoint, region: REGION, accessKey: USER, secretKey, bucket: 'statelens-test' })
}

interface Settings {
  readonly folder: string
  readonly secretKey: string
  readonly cachePort: number
}

/** @returns the port of the proxy. */
async function writeSettings({ folder, secretKey, cachePort }: Settings): Promise<number> {
  const write = (name: string, ...parts: readonly string[]) => writeFile(join(folder, name), parts.join('\n'))
  await write('swift.conf', lines('swift-hash', { swift_hash_path_suffix: randomBytes(12).toString('hex') }))
  const common = { swift_dir: folder, devices: join(folder, 'devices'), mount_check: 'false' }
  for (const kind of KINDS) {
    const server = lines(`app:${kind}-server`, { use: `egg:swift#${kind}` })
    const pipeline = lines('pipeline:main', { pipeline: `${kind}-server` })
    await write(`${kind}.conf`, lines('DEFAULT', { ...common, bind_port: await freePort() }), pipeline, server)
  }
  const port = await freePort()
  const filters: Readonly<Record<string, Record<string, string>>> = {
    catch_errors: {},
    cache: { use: 'egg:swift#memcache', memcache_servers: `127.0.0.1:${cachePort}` },
    bulk: {},
    s3api: { location: REGION, min_segment_size: '1' },
    tempauth: { [`user_${USER.replace(':', '_')}`]: `${secretKey} .admin` },
    copy: {},
    slo: {},
    dlo: {},
    versioned_writes: {},
  }
  const proxy = { use: 'egg:swift#proxy', account_autocreate: 'true', allow_account_management: 'true' }
  await write(
    'proxy.conf',
    lines('DEFAULT', { ...common, bind_port: port }),
    lines('pipeline:main', { pipeline: [...Object.keys(filters), 'proxy-server'].join(' ') }),
    lines('app:proxy-server', proxy),
    ...Object.entries(filters).map(([name, own]) => lines(`filter:${name}`, { use: `egg:swift#${name}`, ...own })),
  )
  return port
}

async function answers(endpoint: string): Promise<boolean> {
  const response = await fetch(endpoint).catch(() => null)
  await response?.body?.cancel()
  return response !== null
}

function lines(section: string, values: Readonly<Record<string, string | number>>): string {
  const settings = Object.entries(values).map(([key, value]) => `${key} = ${value}\n`)
  return `[${section}]\n${settings.join('')}`
}
