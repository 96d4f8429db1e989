import { lookup } from 'node:dns/promises'
import { BlockList, isIP } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'
import type { S3Settings } from '../../storage/registry.ts'
import { type Finding, fine, warning, wrong } from './finding.ts'
import { type SettingNames, settingNames } from './setting-names.ts'

const LOOKUP_MILLIS = 3000

export type Reach = 'PUBLIC' | 'PRIVATE_NETWORK' | 'LOCAL_NAME' | 'LOOPBACK' | 'NO_ADDRESS'

const LOCAL_SUFFIXES = /\.(local|internal|svc|localdomain|lan|test|invalid)$/

const PRIVATE = new BlockList()
for (const [network, prefix] of [
  ['10.0.0.0', 8],
  ['172.16.0.0', 12],
  ['192.168.0.0', 16],
  ['169.254.0.0', 16],
  ['100.64.0.0', 10],
] as const) {
  PRIVATE.addSubnet(network, prefix, 'ipv4')
}
PRIVATE.addSubnet('fc00::', 7, 'ipv6')
PRIVATE.addSubnet('fe80::', 10, 'ipv6')

/** From where a host can be reached, as far as its name tells. `host` is that of a URL or of a setting, without a port. */
export function reachOf(host: string): Reach {
  const name = host.replaceAll(/^\[|\]$|\.$/g, '').toLowerCase()
  const family = isIP(name)
  if (name === '0.0.0.0' || name === '::') return 'NO_ADDRESS'
  if (/(^|\.)localhost$/.test(name) || (family === 4 && name.startsWith('127.')) || name === '::1') return 'LOOPBACK'
  if (family !== 0) return PRIVATE.check(name, family === 4 ? 'ipv4' : 'ipv6') ? 'PRIVATE_NETWORK' : 'PUBLIC'
  return !name.includes('.') || LOCAL_SUFFIXES.test(name) ? 'LOCAL_NAME' : 'PUBLIC'
}

interface Address {
  readonly host: string
  readonly protocol: string
  /** The setting that it comes from. */
  readonly setting: string
  /** The setting to be changed. */
  readonly remedy: string
  readonly what: string
}

export interface LinkSettings {
  readonly host: string
  readonly publicUrl?: string
  readonly signedUrlSecrets: readonly string[]
  readonly s3?: Pick<S3Settings, 'publicEndpointUrl'>
  readonly minio?: Pick<S3Settings, 'publicEndpointUrl'>
}

type Env = Readonly<Record<string, string | undefined>>

/** Judges the hosts that signed links carry, as browsers elsewhere see them. Never rejects. */
export async function lookAtLinks(config: LinkSettings, env: Env): Promise<readonly Finding[]> {
  const addresses = addressesOf(config, env)
  const judged = await Promise.all(addresses.map((address) => judge(address, config)))
  const mixed = addresses.filter(({ protocol }) => protocol === 'http:' && config.publicUrl?.startsWith('https:'))
  return [
    ...(config.signedUrlSecrets.length > 0
      ? []
      : [
          warning(
            'SIGNED_URL_SECRET is not set: links end with the process that made them; set 32 random bytes or more',
          ),
        ]),
    ...judged,
    ...mixed.map(({ setting, remedy }) =>
      warning(`${setting} is http and PUBLIC_URL https, a mix that browsers refuse; let ${remedy} be https`),
    ),
  ]
}

function addressesOf({ host, publicUrl, s3, minio }: LinkSettings, env: Env): Address[] {
  const own = publicUrl === undefined ? undefined : new URL(publicUrl)
  const addresses: Address[] = [
    {
      host: own?.hostname ?? host,
      protocol: own?.protocol ?? 'http:',
      setting: own ? 'PUBLIC_URL' : 'HOST',
      remedy: 'PUBLIC_URL',
      what: 'links',
    },
  ]
  const stores: readonly [string | undefined, SettingNames][] = [
    [s3?.publicEndpointUrl, settingNames(env, ['S3'])],
    [minio?.publicEndpointUrl, settingNames(env, ['MINIO', 'S3'])],
  ]
  for (const [endpoint, names] of stores) {
    const url = endpoint === undefined ? null : URL.parse(endpoint)
    if (!url) continue
    const setting = names.firstOf(['PUBLIC_ENDPOINT_URL', 'ENDPOINT_URL'])
    if (addresses.some((other) => other.setting === setting)) continue
    const remedy = names.own('PUBLIC_ENDPOINT_URL')
    addresses.push({ host: url.hostname, protocol: url.protocol, setting, remedy, what: 'signed links' })
  }
  return addresses
}

async function judge({ host, setting, remedy, what }: Address, config: LinkSettings): Promise<Finding> {
  const reach = reachOf(host)
  const subject = `${setting}: ${what} carry ${host}`
  const advice = `set ${remedy} to what they can reach`
  const isServedElsewhere = reachOf(config.publicUrl ? new URL(config.publicUrl).hostname : config.host) !== 'LOOPBACK'
  if (reach === 'NO_ADDRESS') return wrong(`${subject}, which is no address to go to; set ${remedy}`)
  if (reach === 'LOOPBACK' && isServedElsewhere) {
    return wrong(`${subject}, which is every browser's own machine; ${advice}`)
  }
  if (reach === 'LOOPBACK') {
    const isOpen = reachOf(config.host) !== 'LOOPBACK'
    return isOpen
      ? warning(`${subject}: browsers elsewhere cannot follow; ${advice}`)
      : fine(`${subject}, for this machine alone`)
  }
  const isKnown = await resolves(host)
  if (reach === 'LOCAL_NAME') {
    const isForThisMachine = isKnown === true && reachOf(config.host) === 'LOOPBACK' && config.publicUrl === undefined
    const text = `${subject}, which browsers elsewhere cannot resolve; ${advice}`
    return isForThisMachine ? warning(text) : wrong(text)
  }
  if (isKnown === false) return wrong(`${subject}, which does not resolve here; correct it, or set ${remedy}`)
  if (isKnown === null) return warning(`${subject}: the DNS does not say whether that resolves`)
  return reach === 'PRIVATE_NETWORK'
    ? warning(`${subject}, a private address; if browsers elsewhere follow them, ${advice}`)
    : fine(subject)
}

/** Null where nobody could tell in time. */
async function resolves(host: string): Promise<boolean | null> {
  if (isIP(host.replaceAll(/^\[|\]$/g, '')) !== 0) return true
  const timer = new AbortController()
  const looking = lookup(host).then(
    () => true,
    (error: NodeJS.ErrnoException) => (error.code === 'ENOTFOUND' ? false : null),
  )
  try {
    return await Promise.race([looking, delay(LOOKUP_MILLIS, null, { signal: timer.signal })])
  } finally {
    timer.abort()
  }
}
