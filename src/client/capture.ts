import { buffer } from 'node:stream/consumers'
import { type Api, type CaptureResult, readCaptured } from './api.ts'
import { uploadDirectly } from './direct-upload.ts'
import { badRequest } from './errors.ts'
import { digestOf, type Source, type WholeSource } from './payload.ts'
import type { ProgressMeter } from './progress.ts'
import { type CaptureRequest, inputText, type PutTarget, putTargetOf } from './request.ts'
import { withRetries } from './retry.ts'

const CAPTURE = `mutation($input: CaptureSnapshotInput!) {
  captureSnapshot(input: $input) { created snapshot { snapshotId seq sizeBytes digest storageTier } }
}`

/** A slow line brings over a MiB a second: what then takes longer than the server's hour needs a ticket that lives longer. */
const SLOW_BYTES_PER_SECOND = 1_048_576
const HOUR_SECONDS = 3600
const DAY_SECONDS = 86_400

export interface CaptureSettings {
  readonly api: Api
  readonly fetch: typeof globalThis.fetch
  readonly retries: number
  readonly timeoutMillis: number
  readonly mutationMaxBytes: number
  readonly directMinBytes: number
  readonly parallelParts: number
  readonly ticketSeconds: number | undefined
}

export interface CaptureJob {
  /** With an idempotency key: every step of it may be repeated. */
  readonly request: CaptureRequest
  readonly source: Source
  readonly meter: ProgressMeter
  readonly signal: AbortSignal | undefined
}

type WholeJob = CaptureJob & { readonly source: WholeSource }

/** Brings a state over by the way that fits it: mutation, PUT, or the object store itself. */
export async function captureBy(settings: CaptureSettings, job: CaptureJob): Promise<CaptureResult> {
  const { request, source } = job
  const target = putTargetOf(request)
  if (source.kind === 'stream') {
    if (target === undefined) {
      throw badRequest('A stream needs a stepId, and has no metadata: give bytes or a blob instead')
    }
    const { digest, encoding } = source
    const coded = encoding ? { ...target, headers: { ...target.headers, 'content-encoding': encoding } } : target
    return await put(settings, { ...job, source }, { target: coded, digest })
  }
  const whole = { ...job, source }
  const isLarge = source.sizeBytes >= settings.directMinBytes
  const byMutation = !isLarge && source.sizeBytes <= settings.mutationMaxBytes
  if (byMutation && (source.kind === 'value' || target === undefined)) {
    const text = await textOf(source)
    if (text !== undefined) return await mutate(settings, whole, text)
  }
  const digest = await digestOf(source, job.signal)
  const byPut = target && (() => put(settings, job, { target, digest }))
  return byPut && !isLarge ? await byPut() : await direct(settings, whole, { digest, otherwise: byPut })
}

async function mutate({ api, retries }: CaptureSettings, job: WholeJob, payload: string): Promise<CaptureResult> {
  const { request, signal } = job
  const variables = `{"input":${inputText(request, { payload })}}`
  const answer = await withRetries(() => api.graphql({ query: CAPTURE, variables, signal }), { retries, signal })
  return readCaptured(answer, { status: 200 })
}

interface PutOptions {
  readonly target: PutTarget
  readonly digest: string | undefined
}

async function put(settings: CaptureSettings, job: CaptureJob, options: PutOptions): Promise<CaptureResult> {
  const { source, meter, signal } = job
  const { target, digest } = options
  const hash = digest && Buffer.from(digest.slice('sha256:'.length), 'hex').toString('base64')
  const headers = hash ? { ...target.headers, 'content-digest': `sha-256=:${hash}:` } : target.headers
  const attempt = () => {
    const body = { sizeBytes: source.sizeBytes, read: () => source.read(), onSent: meter.begin('all') }
    return settings.api.put({ ...target, headers }, body, signal)
  }
  const mayRepeat = () => source.kind !== 'stream' || source.canRead()
  return await withRetries(attempt, { retries: settings.retries, signal, mayRepeat })
}

interface DirectOptions {
  readonly digest: string
  readonly otherwise: (() => Promise<CaptureResult>) | undefined
}

async function direct(settings: CaptureSettings, job: WholeJob, options: DirectOptions): Promise<CaptureResult> {
  const { request, source, meter, signal } = job
  const slowSeconds = Math.ceil(source.sizeBytes / SLOW_BYTES_PER_SECOND)
  const longer = slowSeconds > HOUR_SECONDS ? Math.min(slowSeconds, DAY_SECONDS) : undefined
  const input = (seconds: number | undefined) =>
    inputText(request, {
      sizeBytes: JSON.stringify(source.sizeBytes),
      digest: JSON.stringify(options.digest),
      ...(seconds === undefined ? {} : { expiresIn: JSON.stringify(seconds) }),
    })
  const ticketSeconds = settings.ticketSeconds ?? longer
  const upload = { source, input, ticketSeconds, meter, otherwise: options.otherwise }
  return await uploadDirectly(upload, { ...settings, signal })
}

/** The payload as text, where the mutation keeps it as it is: the server reads its values, and writes them again. */
async function textOf(source: WholeSource): Promise<string | undefined> {
  const bytes = await buffer(source.read())
  try {
    const text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes)
    return JSON.stringify(JSON.parse(text)) === text ? text : undefined
  } catch {
    return undefined
  }
}
