import { randomBytes, randomUUID } from 'node:crypto'
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import type { S3Service, Unavailable } from '../services.ts'
import { findBinary, isExecutable, unpackDebian, unpackedEnvironment, unpackedLibraries } from './binaries.ts'
import { withBucket } from './buckets.ts'
import { freePort, type Host, type Launched } from './host.ts'

const ATTEMPTS = 3
const BUCKET = 'statelens-test'

/** Where the programs of Ceph are. `root` is empty when they are installed. */
interface Ceph {
  readonly root: string
  readonly env: NodeJS.ProcessEnv
}

interface Cluster extends Ceph {
  readonly host: Host
  readonly folder: string
  readonly fsid: string
  readonly monitorPort: number
  readonly gatewayPort: number
}

/**
 * The server of `TEST_S3_ENDPOINT`, or the RADOS Gateway of a Ceph cluster on one node: a monitor, one store in memory, the
 * gateway. Its signatures are checked, unlike those of most S3 look-alikes.
 */
export async function startCeph(host: Host): Promise<S3Service | Unavailable> {
  const given = fromEnvironment()
  if (given) return withBucket(given)
  const ceph = await findCeph(host)
  if (!ceph) {
    const names = 'TEST_S3_ENDPOINT, TEST_S3_ACCESS_KEY and TEST_S3_SECRET_KEY'
    return {
      unavailable: `An S3 server is missing: put radosgw, ceph-mon, ceph-osd and ceph on the PATH, or set ${names}`,
    }
  }
  for (let attempt = 1; ; attempt += 1) {
    const folder = join(host.folder, `ceph-${attempt}`)
    const cluster = {
      ...ceph,
      host,
      folder,
      fsid: randomUUID(),
      monitorPort: await freePort(),
      gatewayPort: await freePort(),
    }
    try {
      return await withBucket(await startCluster(cluster))
    } catch (error) {
      // A port that was free may have been taken meanwhile: then the next attempt has others.
      if (attempt === ATTEMPTS || host.signal.aborted) throw error
    }
  }
}

function fromEnvironment(): S3Service | null {
  const { env } = process
  if (!env['TEST_S3_ENDPOINT']) return null
  return {
    endpoint: env['TEST_S3_ENDPOINT'],
    region: env['TEST_S3_REGION'] ?? 'us-east-1',
    accessKey: env['TEST_S3_ACCESS_KEY'] ?? '',
    secretKey: env['TEST_S3_SECRET_KEY'] ?? '',
    bucket: env['TEST_S3_BUCKET'] ?? BUCKET,
  }
}

async function findCeph(host: Host): Promise<Ceph | null> {
  const installed = await Promise.all(['radosgw', 'ceph-mon', 'ceph-osd', 'ceph'].map(findBinary))
  if (installed.every((path) => path !== null)) return { root: '', env: process.env }
  const packages = ['radosgw', 'ceph-mon', 'ceph-osd', 'ceph-common']
  const root = await unpackDebian(host, { name: 'ceph', packages })
  return root === null ? null : { root, env: await unpackedEnvironment(root) }
}

async function startCluster(cluster: Cluster): Promise<S3Service> {
  const { host, folder, fsid, monitorPort, gatewayPort } = cluster
  await writeSettings(cluster)
  const env = { ...cluster.env, CEPH_CONF: join(folder, 'ceph.conf') }
  const run = (command: string, ...args: string[]) => host.run(command, { args, env })
  const launch = (command: string, ...args: string[]) => host.launch(command, { args: ['-f', ...args], env })

  const map = join(folder, 'monmap')
  await run('monmaptool', '--create', '--fsid', fsid, '--addv', 'a', `[v2:127.0.0.1:${monitorPort}]`, map)
  await run('ceph-mon', '--mkfs', '-i', 'a', '--monmap', map)
  const monitor = await launch('ceph-mon', '-i', 'a')
  const store = randomUUID()
  await unlessEnded(monitor, ceph(cluster, env, ['osd', 'new', store]))
  await run('ceph-osd', '--mkfs', '-i', '0', '--osd-uuid', store)
  const osd = await launch('ceph-osd', '-i', '0')
  const accessKey = randomBytes(10).toString('hex')
  const secretKey = randomBytes(20).toString('hex')
  const user = ['user', 'create', '--uid=test', '--display-name=test']
  const keys = [`--access-key=${accessKey}`, `--secret-key=${secretKey}`]
  await unlessEnded(osd, run('radosgw-admin', '-n', 'client.rgw', ...user, ...keys))
  const gateway = await launch('radosgw', '-n', 'client.rgw')
  const endpoint = `http://127.0.0.1:${gatewayPort}`
  await unlessEnded(gateway, answers(endpoint, host.signal))
  return { endpoint, region: 'us-east-1', accessKey, secretKey, bucket: BUCKET }
}

/** The `ceph` command is a Python script, whose library fits the system's Python and no other. */
async function ceph({ root, host }: Cluster, env: NodeJS.ProcessEnv, args: readonly string[]): Promise<string> {
  const timed = ['--connect-timeout', '60', ...args]
  if (root === '') return host.run('ceph', { args: timed, env })
  const python = (await isExecutable('/usr/bin/python3')) ? '/usr/bin/python3' : `${root}/usr/bin/python3`
  return host.run(python, { args: [`${root}/usr/bin/ceph`, ...timed], env })
}

async function unlessEnded<Result>(server: Launched, work: Promise<Result>): Promise<Result> {
  const ended = server.ended.then(async () => {
    throw new Error(`A server of the Ceph cluster ended: ${(await server.log()).slice(-2000)}`)
  })
  return Promise.race([work, ended])
}

async function answers(endpoint: string, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    const response = await fetch(endpoint).catch(() => null)
    await response?.body?.cancel()
    if (response?.ok) return
    await delay(50)
  }
}

async function writeSettings({ root, folder, fsid, monitorPort, gatewayPort }: Cluster): Promise<void> {
  for (const name of ['mon', 'osd']) await mkdir(join(folder, name), { recursive: true })
  const libraries = root === '' ? null : await unpackedLibraries(root)
  const paths = libraries && {
    erasure_code_dir: `${libraries}/ceph/erasure-code`,
    plugin_dir: `${libraries}/ceph`,
    osd_class_dir: `${libraries}/rados-classes`,
  }
  const everyone = { ...COMMON, ...paths, mon_host: `[v2:127.0.0.1:${monitorPort}]` }
  const files = { run_dir: folder, admin_socket: `${folder}/$name.asok`, log_file: `${folder}/$name.log` }
  const sections = {
    global: { ...everyone, ...files, fsid },
    mon: { mon_data: join(folder, 'mon') },
    osd: { osd_data: join(folder, 'osd'), osd_objectstore: 'memstore', memstore_device_bytes: 4 * 1024 ** 3 },
    'client.rgw': { ...GATEWAY, rgw_frontends: `beast endpoint=127.0.0.1:${gatewayPort}` },
  }
  const text = Object.entries(sections).map(
    ([name, values]) =>
      `[${name}]\n${Object.entries(values)
        .map(([key, value]) => `${key} = ${value}\n`)
        .join('')}`,
  )
  await writeFile(join(folder, 'ceph.conf'), text.join('\n'))
}

/** One copy of everything, no log-in between the parts, loopback only. */
const COMMON = {
  ms_bind_ipv6: false,
  public_network: '127.0.0.0/8',
  public_addr: '127.0.0.1',
  cluster_addr: '127.0.0.1',
  auth_cluster_required: 'none',
  auth_service_required: 'none',
  auth_client_required: 'none',
  osd_pool_default_size: 1,
  osd_pool_default_min_size: 1,
  osd_pool_default_pg_num: 4,
  osd_pool_default_pg_autoscale_mode: 'off',
  osd_crush_chooseleaf_type: 0,
  mon_allow_pool_size_one: true,
  mon_max_pg_per_osd: 1000,
  // The gateway makes a dozen pools at its start, and the monitor would wait a second before each.
  paxos_propose_interval: 0.02,
  paxos_min_wait: 0.01,
  // A disk that is nearly full is no reason to stop: the store is in memory.
  mon_data_avail_crit: 1,
  mon_data_avail_warn: 2,
  pid_file: '',
  log_to_stderr: false,
  err_to_stderr: true,
}

/** No `rgw_dns_name`: with one, every other host name would be taken for that of a bucket. */
const GATEWAY = {
  rgw_enable_usage_log: false,
  rgw_thread_pool_size: 32,
  rgw_run_sync_thread: false,
  // What was deleted gives its room back soon: the store is small.
  rgw_gc_obj_min_wait: 1,
  rgw_gc_processor_period: 3,
  ms_mon_client_mode: 'crc',
}
