import { randomUUID } from 'node:crypto'
import { Agent, request } from 'undici'
import { isAppError } from '../../errors.ts'
import type { StorageBackend } from '../../storage/backend.ts'
import type { S3Settings } from '../../storage/registry.ts'
import { createS3Backend } from '../../storage/s3/s3-backend.ts'
import { type Finding, fine, warning, wordOf, wrong } from './finding.ts'
import type { SettingNames } from './setting-names.ts'

const PROBE_MILLIS = 3000
const CALL_MILLIS = 3500
/** A store refuses signatures that are 15 minutes off. */
const SKEW_WRONG_SECONDS = 840
const SKEW_WARN_SECONDS = 60

export interface StoreLook {
  readonly scheme: 's3' | 'minio'
  readonly store: S3Settings
  readonly names: SettingNames
  /** What it is for, such as `new objects go here`. */
  readonly role: string
}

/**
 * Asks the endpoint for the time, then for the bucket, then for an object that is not there: each says more than the one
 * before. Writes nothing, and never rejects.
 */
export async function lookAtStore(look: StoreLook): Promise<readonly Finding[]> {
  const { scheme, store, role } = look
  const endpoint = await probe(store)
  if ('failure' in endpoint) {
    return [wrong(`${placeOf(look)}: ${describeConnection(endpoint.failure)}`)]
  }
  const backend = createS3Backend({ ...store, scheme, deadlineMs: CALL_MILLIS })
  try {
    const refusal = await refusalOf(backend, look)
    const access =
      refusal === null ? fine(`${scheme}:// (${role}): the bucket answers, and the keys are right`) : wrong(refusal)
    const keeping = refusal === null ? await lookAtKeeping(backend, look) : []
    return [access, ...keeping, ...judgeClock(endpoint.skewSeconds)]
  } finally {
    backend.close()
  }
}

/** A bucket that locks what it holds has the last word on when bytes are gone. */
async function lookAtKeeping(backend: StorageBackend, { scheme }: StoreLook): Promise<readonly Finding[]> {
  const kept = await backend.keeping?.().catch(() => undefined)
  if (!kept) return []
  const { versions, lock } = kept
  if (lock) {
    const days = `${lock.days} day${lock.days === 1 ? '' : 's'} (${lock.mode})`
    return [
      warning(
        `${scheme}://: the bucket locks each object for ${days}: what is deleted before is out of sight at once, and its bytes go when the lock ends`,
      ),
    ]
  }
  return versions ? [fine(`${scheme}://: the bucket keeps versions: what is deleted goes with all of them`)] : []
}

type Probe = { readonly skewSeconds: number } | { readonly failure: string }

/** Whether anything answers there at all, and what time it is for it. */
async function probe({ endpointUrl, region }: S3Settings): Promise<Probe> {
  const suffix = region.startsWith('cn-') ? 'amazonaws.com.cn' : 'amazonaws.com'
  const agent = new Agent({ connect: { timeout: PROBE_MILLIS } })
  try {
    const signal = AbortSignal.timeout(PROBE_MILLIS)
    const url = endpointUrl ?? `https://s3.${region}.${suffix}`
    // Not by fetch, which refuses some ports.
    const { headers } = await request(url, { method: 'HEAD', dispatcher: agent, signal })
    const theirs = Date.parse(String(headers['date']))
    return { skewSeconds: Number.isNaN(theirs) ? 0 : Math.round((Date.now() - theirs) / 1000) }
  } catch (error) {
    return { failure: codeOf(error) }
  } finally {
    agent.destroy().catch(() => {})
  }
}

/** Several addresses of one host may each have failed. */
function codeOf(error: unknown): string {
  if (error instanceof AggregateError && error.errors.length > 0) return codeOf(error.errors[0])
  return wordOf(error)
}

const CONNECTIONS: readonly (readonly [RegExp, string])[] = [
  [/ECONNREFUSED/, 'nothing listens there: start the store, or correct host and port'],
  [/ENOTFOUND|EAI_AGAIN/, 'the host is not known here: correct it, or the DNS of this machine'],
  [/TIMEDOUT|TIMEOUT|TimeoutError|EHOST|ENET/, 'no answer came in time: look for a firewall, or a wrong host'],
  [/CERT|SSL|TLS|ISSUER|SIGNATURE/, 'TLS fails: look at http and https, at the port, and at the certificate'],
  [/ECONNRESET|EPIPE|UND_ERR_SOCKET|HPE_/, 'what answers breaks off: look at http and https, and at the port'],
]

function describeConnection(sign: string): string {
  return (
    CONNECTIONS.find(([pattern]) => pattern.test(sign))?.[1] ?? `the store cannot be reached (${sign.split(':', 1)[0]})`
  )
}

/** Null where the bucket and its objects may be read. */
async function refusalOf(backend: StorageBackend, look: StoreLook): Promise<string | null> {
  try {
    await backend.check()
  } catch (error) {
    const reason = await reasonOf(backend, look)
    return describeRefusal(reason ?? signOf(error), look)
  }
  const reason = await reasonOf(backend, look)
  return reason === null ? null : describeRefusal(reason, look)
}

/** How a read of an object that cannot be there is refused; null where it is just missing. An answer to HEAD has no words. */
async function reasonOf(backend: StorageBackend, { scheme, store }: StoreLook): Promise<string | null> {
  try {
    const uri = { scheme, bucket: store.bucket, key: `statelens-doctor/${randomUUID()}` }
    const { body } = await backend.get(uri)
    body.destroy()
    return null
  } catch (error) {
    return isAppError(error, 'OBJECT_MISSING') ? null : signOf(error)
  }
}

/** `NoSuchBucket: HTTP 404`, or what Node said of the connection. */
function signOf(error: unknown): string {
  if (!isAppError(error)) return wordOf(error)
  return error.cause instanceof Error ? error.cause.message : error.code
}

/** The setting that says where the store is. */
function placeOf({ store, names }: StoreLook): string {
  return names.of(store.endpointUrl === undefined ? 'REGION' : 'ENDPOINT_URL')
}

function describeRefusal(sign: string, look: StoreLook): string {
  const { names, store } = look
  const known = refusals(look).find(([pattern]) => pattern.test(sign))
  if (known) return known[1]
  if (/ENOTFOUND|EAI_AGAIN/.test(sign) && store.endpointUrl !== undefined) {
    return `${names.of('ENDPOINT_URL')}: the store has no host of the bucket's name: set ${names.of('FORCE_PATH_STYLE')}=true`
  }
  const status = /HTTP \d{3}/.exec(sign)?.[0]
  if (status === undefined) return `${placeOf(look)}: ${describeConnection(sign)}`
  return `${placeOf(look)}: it answers with ${status}, unlike an S3 store: is that the port of the S3 API?`
}

/** What stores call it; of an answer without words the status tells. */
function refusals(look: StoreLook): readonly (readonly [RegExp, string])[] {
  const { names } = look
  const [bucket, region] = [names.of('BUCKET'), names.of('REGION')]
  const [access, secret] = [names.of('ACCESS_KEY'), names.of('SECRET_KEY')]
  return [
    [/^InvalidAccessKeyId/, `${access}: the store does not know this key; correct it`],
    [/^SignatureDoesNotMatch/, `${secret}: it does not belong to ${access}; correct it`],
    [/^(CredentialsProviderError|CredentialsError)/, `no credentials were found: set ${access} and ${secret}`],
    [/^(ExpiredToken|InvalidToken|TokenRefreshRequired)/, 'the credentials have expired: renew them'],
    [/^RequestTimeTooSkewed/, 'the clocks of this machine and of the store differ by over 15 minutes: set them right'],
    [/^(NoSuchBucket|InvalidBucketName)/, `${bucket}: there is no such bucket; create it, or correct the name`],
    [
      /^(PermanentRedirect|TemporaryRedirect|AuthorizationHeaderMalformed|IllegalLocationConstraint)|HTTP 30[178]/,
      `${region}: the bucket is in another region; correct it`,
    ],
    [
      /^AccessDenied|HTTP (401|403)/,
      `${bucket}: the keys do not give access; allow s3:ListBucket, s3:GetObject, s3:PutObject`,
    ],
    [/HTTP (429|5\d\d)/, `${placeOf(look)}: the store is overloaded or out of order; look at its own log`],
  ]
}

function judgeClock(skewSeconds: number): readonly Finding[] {
  const size = Math.abs(skewSeconds)
  if (size < SKEW_WARN_SECONDS) return []
  const text = `this machine's clock is ${size} seconds ${skewSeconds > 0 ? 'ahead of' : 'behind'} the store's: set it by NTP`
  return [size < SKEW_WRONG_SECONDS ? warning(text) : wrong(`${text}; signed links are refused`)]
}
