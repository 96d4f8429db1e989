import { resolve } from 'node:path'
import { type AccessConfig, readAccess } from './access-settings.ts'
import { readScale, type ScaleConfig } from './scale-settings.ts'
import { createSettingReader, type Env, type SettingReader } from './setting-reader.ts'

/** S3 settings of one scheme. */
export interface ObjectStoreConfig {
  readonly bucket: string
  readonly region: string
  readonly endpointUrl?: string
  readonly publicEndpointUrl?: string
  readonly accessKey?: string
  readonly secretKey?: string
  readonly forcePathStyle?: boolean
}

export type BackendName = 's3' | 'minio' | 'filesystem'

export interface Config extends AccessConfig, ScaleConfig {
  readonly port: number
  readonly host: string
  /** Without a trailing slash; undefined where it follows from host and port. */
  readonly publicUrl?: string
  /** Whose pages browsers may call from, as browsers spell them: `https://ui.example.com`; `*` alone for all. */
  readonly corsOrigins: readonly string[]
  /** Undefined: a cache in this process. */
  readonly valkeyUrl?: string
  readonly valkeyCluster: boolean
  /** Absolute. */
  readonly dataDir: string
  readonly storageBackend: BackendName
  /** Absolute. */
  readonly storagePath: string
  readonly inlineMaxBytes: number
  readonly cacheTtlSeconds: number
  readonly payloadMaxBytes: number
  /** Most payloads that are streamed out of storage at once. */
  readonly payloadStreamsMax: number
  /** Most payloads on their way into storage at once. */
  readonly uploadStreamsMax: number
  /** Bytes of payloads that are held for clients, all together. */
  readonly payloadMemoryMaxBytes: number
  /** Most subscriptions at once. */
  readonly eventStreamsMax: number
  /** Of those, by one viewer. */
  readonly eventStreamsPerViewerMax: number
  /** Slower clients are cut, in either direction, after some patience. */
  readonly transferMinBytesPerSecond: number
  /** How long a connection that nothing is asked on stays open. */
  readonly keepAliveSeconds: number
  /** What one operation may ask for, where it is not what is usual. */
  readonly queryLimits: { readonly [Limit in QueryLimit]?: number }
  /** How long new connections are taken after SIGTERM. */
  readonly drainDelaySeconds: number
  readonly s3?: ObjectStoreConfig
  readonly minio?: ObjectStoreConfig
  /** How long a run without an end of its own lives after its last sign of life; undefined: for ever. */
  readonly retentionDays?: number
  /** Of all runs, and of all states: a pass of retention that would delete more deletes nothing. */
  readonly retentionMaxPercent: number
  /** Undefined: the configured buckets. */
  readonly allowedBuckets?: readonly string[]
  /** Newest first; empty: one is made at start, and links end with the process. */
  readonly signedUrlSecrets: readonly string[]
  /** Longest life of a signed link. */
  readonly signedUrlMaxSeconds: number
  /** Whether a browser that opens the address gets GraphiQL. */
  readonly graphiql: boolean
  /** Whether the explorer is served, and a browser that opens `/` led there. */
  readonly explorer: boolean
  /** Whether operations may ask for the schema. */
  readonly introspection: boolean
  /** Least severe lines that the log shows. */
  readonly logLevel: LogLevel
  /** Whether each request has one. */
  readonly logRequests: boolean
}

const LOG_LEVELS = ['info', 'trace', 'debug', 'warn', 'error', 'fatal', 'silent'] as const
export type LogLevel = (typeof LOG_LEVELS)[number]

const QUERY_LIMITS = [
  'queryBytes',
  'tokens',
  'depth',
  'aliases',
  'directives',
  'fields',
  'nodes',
  'values',
  'verifications',
  'parts',
  'bytes',
] as const
export type QueryLimit = (typeof QUERY_LIMITS)[number]

/** All that is wrong with the settings, a line each. Names variables, never their values. */
export class ConfigError extends Error {
  override readonly name = 'ConfigError'
  readonly problems: readonly string[]

  constructor(problems: readonly string[]) {
    super(`The settings have ${problems.length} problem(s):\n${problems.map((problem) => `  - ${problem}`).join('\n')}`)
    this.problems = problems
  }
}

/** Scheme, host and port, and nothing after them. */
const ORIGIN = /^https?:\/\/(?:\[[\da-f:.]+\]|[^\s/?#@:*%\\[\]]+)(?::\d{1,5})?$/i
/** The parser of storage URIs has the same rule. */
const BUCKET = /^(?!.*\.\.)(?!\d+(?:\.\d+){3}$)[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$/
/** Names that begin so are meant for this server, or for nothing. */
const OWN_PREFIX =
  /^(?:S3|MINIO|SNAPSHOT|VALKEY|SIGNED_URL|STORAGE_ALLOWED|PAYLOAD|UPLOAD_STREAMS|EVENT_STREAMS|TRANSFER_MIN|KEEP_ALIVE|DRAIN|CORS|QUERY|AUTH|JWT|REDACTION|TRUSTED|RATE|RETENTION|DATABASE_READ|DATABASE_CONN\w*)_|^WORKER$/

/** @throws ConfigError with every problem at once. */
export function readConfig(env: Env): Config {
  const problems: string[] = []
  const read = createSettingReader(env, problems)
  const dataDir = resolve(read.text('DATA_DIR') ?? '.statelens')
  const storageBackend = read.choice('SNAPSHOT_STORAGE_BACKEND', ['filesystem', 's3', 'minio'])
  const host = read.text('HOST') ?? '127.0.0.1'
  const access = readAccess(read, problems, host)
  const scale = readScale(read, problems)
  const s3 = readObjectStore(read, problems, ['S3'])
  const minio = readObjectStore(read, problems, ['MINIO', 'S3'])
  if (storageBackend === 's3' && !s3) problems.push('S3_BUCKET is missing, and SNAPSHOT_STORAGE_BACKEND is s3')
  if (storageBackend === 'minio' && !minio)
    problems.push('MINIO_BUCKET is missing, and SNAPSHOT_STORAGE_BACKEND is minio')
  const config: Config = {
    port: read.integer('PORT', { fallback: 4000, min: 0, max: 65_535 }),
    host,
    ...access,
    publicUrl: readPublicUrl(read, problems),
    corsOrigins: readOrigins(read, problems),
    ...scale,
    valkeyUrl: read.url('VALKEY_URL', ['redis', 'rediss', 'valkey', 'valkeys']),
    valkeyCluster: read.flag('VALKEY_CLUSTER') ?? false,
    dataDir,
    storageBackend,
    storagePath: resolve(read.text('SNAPSHOT_STORAGE_PATH') ?? `${dataDir}/snapshots`),
    inlineMaxBytes: read.integer('SNAPSHOT_INLINE_MAX_BYTES', { fallback: 1_048_576, min: 0, max: 67_108_864 }),
    cacheTtlSeconds: read.integer('SNAPSHOT_CACHE_TTL_SECONDS', { fallback: 3600, min: 1, max: 31_536_000 }),
    payloadMaxBytes: read.integer('PAYLOAD_MAX_BYTES', { fallback: 67_108_864, min: 1, max: Number.MAX_SAFE_INTEGER }),
    ...readLimits(read, scale.workers),
    queryLimits: readQueryLimits(read, problems),
    s3,
    minio,
    retentionDays: read.text('RETENTION_DAYS') === undefined ? undefined : readRetentionDays(read),
    retentionMaxPercent: read.integer('RETENTION_MAX_PERCENT', { fallback: 20, min: 1, max: 100 }),
    allowedBuckets: readBuckets(read, problems),
    signedUrlSecrets: readSecrets(read, problems),
    // No store signs for more than seven days.
    signedUrlMaxSeconds: read.integer('SIGNED_URL_MAX_SECONDS', { fallback: 86_400, min: 1, max: 604_800 }),
    graphiql: read.flag('GRAPHIQL') ?? true,
    explorer: read.flag('EXPLORER') ?? true,
    introspection: read.flag('INTROSPECTION') ?? true,
    logLevel: read.choice('LOG_LEVEL', LOG_LEVELS),
    logRequests: read.flag('LOG_REQUESTS') ?? true,
  }
  // A setting that two others fall back on is read for each.
  if (problems.length > 0) throw new ConfigError([...new Set(problems)])
  return Object.freeze(config)
}

function readRetentionDays(read: SettingReader): number {
  return read.integer('RETENTION_DAYS', { fallback: 0, min: 1, max: 36_500 })
}

/** @param workers each of them needs a place at least. */
function readLimits(read: SettingReader, workers: number) {
  const places = (fallback: number) => ({ fallback: Math.max(fallback, workers), min: workers, max: 10_000 })
  return {
    payloadStreamsMax: read.integer('PAYLOAD_STREAMS_MAX', places(64)),
    uploadStreamsMax: read.integer('UPLOAD_STREAMS_MAX', places(24)),
    payloadMemoryMaxBytes: read.integer('PAYLOAD_MEMORY_MAX_BYTES', {
      fallback: 67_108_864,
      min: 1_048_576,
      max: Number.MAX_SAFE_INTEGER,
    }),
    transferMinBytesPerSecond: read.integer('TRANSFER_MIN_BYTES_PER_SECOND', {
      fallback: 65_536,
      min: 1,
      max: 1_073_741_824,
    }),
    eventStreamsMax: read.integer('EVENT_STREAMS_MAX', { fallback: 1500, min: 0, max: 10_000 }),
    eventStreamsPerViewerMax: read.integer('EVENT_STREAMS_PER_VIEWER_MAX', { fallback: 50, min: 0, max: 10_000 }),
    keepAliveSeconds: read.integer('KEEP_ALIVE_SECONDS', { fallback: 75, min: 1, max: 3600 }),
    drainDelaySeconds: read.integer('DRAIN_DELAY_SECONDS', { fallback: 5, min: 0, max: 600 }),
  }
}

/** Such as `nodes=50000,depth=20`. */
function readQueryLimits(read: SettingReader, problems: string[]): Config['queryLimits'] {
  const pairs = (read.text('QUERY_LIMITS') ?? '').split(',').flatMap((text) => text.trim() || [])
  const limits = pairs.map((pair) => {
    const [, name, figure] = /^(\w+)\s*=\s*(\d{1,15})$/.exec(pair) ?? []
    return [QUERY_LIMITS.find((limit) => limit === name), Number(figure)] as const
  })
  if (limits.some(([limit, figure]) => limit === undefined || figure < 1)) {
    problems.push(`QUERY_LIMITS must be like nodes=50000,depth=20, of ${QUERY_LIMITS.join(', ')}`)
  }
  return Object.fromEntries(limits)
}

/** Names in the environment that look like settings and are none. */
export function unknownSettings(env: Env): readonly string[] {
  const known = new Set<string>()
  readConfig(new Proxy<Env>({}, { get: (_env, name) => void known.add(String(name)) }))
  return Object.keys(env).filter((name) => OWN_PREFIX.test(name) && !known.has(name))
}

/**
 * Each setting by itself comes from the first of the prefixes that has it, and the two keys together from the first that has one
 * of them; undefined without a bucket.
 */
function readObjectStore(
  read: SettingReader,
  problems: string[],
  prefixes: readonly ['S3'] | readonly ['MINIO', 'S3'],
): ObjectStoreConfig | undefined {
  const first = <T>(find: (prefix: string) => T | undefined) =>
    prefixes.map((prefix) => find(prefix)).find((value) => value !== undefined)
  const text = (name: string) => first((prefix) => read.text(`${prefix}_${name}`))
  const url = (prefix: string, name: string) => read.url(`${prefix}_${name}`, ['http', 'https'])
  const settings = {
    region: text('REGION') ?? 'us-east-1',
    endpointUrl: first((prefix) => url(prefix, 'ENDPOINT_URL')),
    publicEndpointUrl: first((prefix) => url(prefix, 'PUBLIC_ENDPOINT_URL') ?? url(prefix, 'ENDPOINT_URL')),
    ...first((prefix) => readKeys(read, problems, prefix)),
    forcePathStyle: first((prefix) => read.flag(`${prefix}_FORCE_PATH_STYLE`)),
  }
  const bucket = text('BUCKET')
  return bucket === undefined ? undefined : { bucket, ...settings }
}

function readKeys(read: SettingReader, problems: string[], prefix: string) {
  const accessKey = read.text(`${prefix}_ACCESS_KEY`)
  const secretKey = read.text(`${prefix}_SECRET_KEY`)
  if (accessKey === undefined && secretKey === undefined) return undefined
  if (accessKey === undefined || secretKey === undefined) {
    problems.push(`${prefix}_ACCESS_KEY and ${prefix}_SECRET_KEY must be set together`)
  }
  return { accessKey, secretKey }
}

/** Links begin with it, and a path of theirs follows. */
function readPublicUrl(read: SettingReader, problems: string[]): string | undefined {
  const before = problems.length
  const value = read.url('PUBLIC_URL', ['http', 'https'])
  if (value === undefined || problems.length > before) return undefined
  if (/[?#\s\\]/.test(value) || /^[^/]*\/\/[^/]*@/.test(value)) {
    problems.push('PUBLIC_URL must end with its path, and name no user')
  }
  return value.replace(/\/+$/, '')
}

function readBuckets(read: SettingReader, problems: string[]): readonly string[] | undefined {
  for (const name of ['S3_BUCKET', 'MINIO_BUCKET']) {
    const bucket = read.text(name)
    if (bucket !== undefined && !BUCKET.test(bucket)) problems.push(`${name} is not a bucket name`)
  }
  const buckets = read
    .text('STORAGE_ALLOWED_BUCKETS')
    ?.split(',')
    .map((bucket) => bucket.trim())
  if (buckets?.some((bucket) => !BUCKET.test(bucket))) {
    problems.push('STORAGE_ALLOWED_BUCKETS must be bucket names separated by commas')
  }
  return buckets
}

function readOrigins(read: SettingReader, problems: string[]): readonly string[] {
  const value = read.text('CORS_ORIGINS')
  if (value === undefined || value === '*') return value === undefined ? [] : ['*']
  const origins = value.split(',').map((origin) => origin.trim())
  if (!origins.every((origin) => ORIGIN.test(origin) && URL.canParse(origin))) {
    problems.push('CORS_ORIGINS must be origins such as https://ui.example.com separated by commas, or * alone')
    return []
  }
  return [...new Set(origins.map((origin) => new URL(origin).origin))]
}

function readSecrets(read: SettingReader, problems: string[]): readonly string[] {
  const secrets =
    read
      .text('SIGNED_URL_SECRET')
      ?.split(',')
      .map((secret) => secret.trim()) ?? []
  if (secrets.length > 2 || secrets.some((secret) => Buffer.byteLength(secret) < 32)) {
    problems.push('SIGNED_URL_SECRET must be one or two values of at least 32 bytes, separated by a comma')
  }
  return secrets
}
