import type { StoreKind } from '../history/world.ts'
import {
  BEGIN_POINTS,
  COMMIT_POINTS,
  type CrashPoint,
  DELETE_POINTS,
  DELETE_RUN_POINTS,
  INLINE_POINTS,
  objectPoints,
  SEND_POINTS,
  TOGETHER_POINTS,
} from './crash-points.ts'

/** Where somebody else than the server is killed, or the server without having come anywhere. */
export type Elsewhere =
  /** Half of the body has been sent. */
  | 'half a body'
  /** Another program, in its transaction, at its commit, and after it. */
  | 'old writer before its commit'
  | 'old writer at its commit'
  | 'old writer after its commit'

/** What is under way when somebody is killed. */
export type Doing =
  | 'mutation'
  | 'put'
  | 'puts together'
  | 'chunked'
  | 'gzip'
  | 'begin'
  | 'send'
  | 'commit'
  | 'delete'
  | 'delete run'
  | 'old writer'

export interface CrashCase {
  readonly doing: Doing
  readonly at: CrashPoint | Elsewhere
  /** Of the state. */
  readonly sizeBytes: number
}

const INLINE_BYTES = 1000
const OBJECT_BYTES = 60_000
/** S3 takes it in parts, where its length is not told. */
const PARTS_BYTES = 11_000_000

const casesOf = (doing: Doing, points: readonly CrashCase['at'][], sizeBytes = OBJECT_BYTES): CrashCase[] =>
  points.map((at) => ({ doing, at, sizeBytes }))

/** Every point, by every way that passes it. */
export function allCases(kind: StoreKind): readonly CrashCase[] {
  const objects = objectPoints(kind)
  return [
    ...(['mutation', 'put'] as const).flatMap((way) => [
      ...casesOf(way, INLINE_POINTS, INLINE_BYTES),
      ...casesOf(way, ['half a body', ...objects]),
    ]),
    ...(kind === 'file' ? casesOf('puts together', TOGETHER_POINTS, INLINE_BYTES) : []),
    ...(kind === 's3' ? casesOf('chunked', objectPoints('s3 in parts'), PARTS_BYTES) : casesOf('gzip', objects)),
    ...casesOf('begin', BEGIN_POINTS),
    // To S3 they do not pass the server.
    ...(kind === 'file' ? casesOf('send', ['half a body', ...SEND_POINTS]) : []),
    ...casesOf('commit', COMMIT_POINTS),
    ...casesOf('commit', COMMIT_POINTS, INLINE_BYTES),
    ...casesOf('delete', DELETE_POINTS[kind]),
    ...casesOf('delete run', DELETE_RUN_POINTS),
    ...casesOf('old writer', [
      'old writer before its commit',
      'old writer at its commit',
      'old writer after its commit',
      'during capture',
    ]),
  ]
}

/** A look at each site once, and at each way. */
export function fewCases(kind: StoreKind): readonly CrashCase[] {
  if (kind === 's3') {
    return [
      ...casesOf('put', ['after store put']),
      ...casesOf('chunked', ['after store part'], PARTS_BYTES),
      ...casesOf('delete', ['after store delete']),
    ]
  }
  return [
    ...casesOf('mutation', ['after capture'], INLINE_BYTES),
    ...casesOf('puts together', ['during captures together'], INLINE_BYTES),
    ...casesOf('mutation', ['after intent']),
    ...casesOf('put', ['during file write', 'after file link']),
    ...casesOf('send', ['half a body']),
    ...casesOf('commit', ['before upload ends']),
    ...casesOf('delete', ['after file unlink']),
    ...casesOf('old writer', ['old writer at its commit']),
  ]
}
