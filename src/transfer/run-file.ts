import type { Approval } from '../db/queries/transfers.ts'
import type { ErrorCode } from '../errors.ts'
import { createJsonLocator } from '../json/locator.ts'
import type { Instant } from '../model/instant.ts'
import { RUN_STATUSES, type Run, type RunChange } from '../model/run.ts'
import { type CaptureInput, SNAPSHOT_KINDS, type Snapshot } from '../model/snapshot.ts'
import { STEP_STATUSES, type Step, type StepChange } from '../model/step.ts'
import { type Encoding, isEncoding } from '../snapshots/encoding.ts'
import { mayBeCoded } from './coded-stream.ts'
import { DamagedFileError } from './damaged.ts'
import { createFieldReader, type FieldReader } from './field-reader.ts'

/*
 * What the entries of an exported run say: JSON by the names of the schema. What the reader of an older version does not know, it passes over.
 */

export const FORMAT = { format: 'statelens.run', version: 1 } as const

export function runText(run: Run): Buffer {
  return lineOf(run)
}

export function stepText({ ordinal: _ordinal, newest: _newest, ...step }: Step): Buffer {
  return lineOf(step)
}

export interface WrittenSnapshot {
  readonly snapshot: Snapshot
  readonly idempotencyKey: string | null
  readonly storedBytes: number | null
  /** Of the state; null where it is not in the file. */
  readonly sizeBytes: number | null
  readonly digest: string | null
  /** Why it is not. */
  readonly lost?: ErrorCode
}

/** The metadata that its producer gave it stands there as it came. */
export function snapshotText({ snapshot, lost, ...told }: WrittenSnapshot): Buffer {
  const { snapshotId, runId, stepId, attempt, seq, kind, createdAt, expiresAt, metadata } = snapshot
  const { isSuccessState, isGolden, replaySafe, piiTags, redactionPolicy, contentType, contentEncoding } = snapshot
  const named = { snapshotId, runId, stepId, attempt, seq, kind, createdAt, expiresAt }
  const marks = { isSuccessState, isGolden, replaySafe, piiTags, redactionPolicy }
  const text = JSON.stringify({ ...named, ...marks, contentType, contentEncoding, ...told, lost })
  const { source, approvedAt, metadata: approval } = snapshot.goldenApproval ?? {}
  const golden =
    source === undefined
      ? ''
      : `,"goldenSource":${JSON.stringify(source)},"goldenAt":${JSON.stringify(approvedAt)},"goldenMetadata":${approval ?? 'null'}`
  return Buffer.from(`${text.slice(0, -1)}${golden},"metadata":${metadata === null ? 'null' : metadata.toString()}}\n`)
}

function lineOf(value: object): Buffer {
  return Buffer.from(`${JSON.stringify(value)}\n`)
}

/** @throws DamagedFileError where the file is none of a run, or of a later form. */
export function checkFormat(manifest: Buffer): void {
  const { format, version } = parseObject(manifest.toString(), 'manifest.json')
  if (format !== FORMAT.format) throw new DamagedFileError('The file is no export of a run')
  if (version !== FORMAT.version) throw new DamagedFileError('The file was written by a later version of statelens')
}

export interface ReadRun {
  readonly change: RunChange
  readonly createdAt: Instant | null
  readonly legalHold: boolean
}

export function readRun(content: Buffer): ReadRun {
  const read = fieldsOf(content.toString(), 'run.json')
  const change = {
    runId: read.text('runId'),
    workflowName: read.textOrNull('workflowName'),
    status: read.oneOf('status', RUN_STATUSES),
    tags: read.tags('tags'),
    startedAt: read.instantOrNull('startedAt'),
    endedAt: read.instantOrNull('endedAt'),
    parentRunId: read.textOrNull('parentRunId'),
    error: read.errorOrNull('error'),
    expiresAt: read.instantOrNull('expiresAt'),
  }
  return { change, createdAt: read.instantOrNull('createdAt'), legalHold: read.flag('legalHold') }
}

export function readStep(line: string, name: string): StepChange {
  const read = fieldsOf(line, name)
  return {
    runId: read.text('runId'),
    stepId: read.text('stepId'),
    index: read.integerOrNull('index'),
    name: read.textOrNull('name'),
    kind: read.textOrNull('kind'),
    status: read.oneOf('status', STEP_STATUSES),
    attempt: read.integerOrNull('attempt'),
    startedAt: read.instantOrNull('startedAt'),
    endedAt: read.instantOrNull('endedAt'),
    error: read.errorOrNull('error'),
  }
}

export interface ReadSnapshot {
  readonly input: CaptureInput & { readonly snapshotId: string }
  readonly createdAt: Instant | null
  readonly isGolden: boolean
  readonly approval: Approval | null
  readonly digest: string | null
  readonly encoding: Encoding | undefined
  /** Why its state is not in the file; null where it is. */
  readonly lost: string | null
}

export function readSnapshot(content: Buffer, name: string): ReadSnapshot {
  const text = content.toString()
  const read = fieldsOf(text, name)
  const locate = createJsonLocator(text)
  const jsonAt = (name: string) => {
    const found = locate([name])
    return found === undefined || found === 'null' ? null : found
  }
  const source = read.textOrNull('goldenSource')
  const coding = read.textOrNull('contentEncoding') ?? 'identity'
  const isCodable = mayBeCoded(read.integerOrNull('sizeBytes') ?? 0, read.integerOrNull('storedBytes'))
  const input = {
    runId: read.text('runId'),
    stepId: read.textOrNull('stepId'),
    snapshotId: read.text('snapshotId'),
    idempotencyKey: read.textOrNull('idempotencyKey'),
    attempt: read.integerOrNull('attempt'),
    kind: read.oneOf('kind', SNAPSHOT_KINDS),
    metadata: jsonAt('metadata'),
    isSuccessState: read.flag('isSuccessState'),
    replaySafe: read.flag('replaySafe'),
    piiTags: read.texts('piiTags'),
    redactionPolicy: read.textOrNull('redactionPolicy'),
    expiresAt: read.instantOrNull('expiresAt'),
    contentType: read.textOrNull('contentType') ?? 'application/json',
  }
  return {
    input,
    createdAt: read.instantOrNull('createdAt'),
    isGolden: read.flag('isGolden'),
    approval:
      source === null
        ? null
        : { source, approvedAt: read.instantOrNull('goldenAt'), metadata: jsonAt('goldenMetadata') },
    digest: read.textOrNull('digest'),
    encoding: isEncoding(coding) && isCodable ? coding : undefined,
    lost: read.textOrNull('lost'),
  }
}

function fieldsOf(text: string, name: string): FieldReader {
  return createFieldReader(parseObject(text, name), (problem) => {
    throw new DamagedFileError(`The file is damaged: ${name}: ${problem}`)
  })
}

function parseObject(text: string, name: string): Readonly<Record<string, unknown>> {
  try {
    const value: unknown = JSON.parse(text)
    if (typeof value === 'object' && value !== null) return value as Readonly<Record<string, unknown>>
  } catch {}
  throw new DamagedFileError(`The file is damaged: ${name} is no JSON object`)
}
