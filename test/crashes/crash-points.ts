/** Where a server can be killed: a step of its work towards the outside, before it, when it is under way, or when its answer is there. */
export type Moment = 'before' | 'during' | 'after'

export type CrashPoint = `${Moment} ${Site}`

/** What a statement of each kind says, and no other does. */
export const STATEMENTS = {
  intent: /insert into "statelens_objects"/,
  capture: /from statelens_capture\(/,
  'captures together': /lateral statelens_capture\(/,
  'upload begins': /insert into statelens_uploads/,
  'upload lives': /update statelens_uploads set not_before/,
  'upload ends': /update statelens_uploads set state/,
  delete: /delete from state_snapshots s where/,
  'run is deleted': /insert into statelens_deletions/,
  take: /set state = 'doomed', attempts = attempts \+ 1/,
  forget: /delete from statelens_objects o using unnest/,
} as const satisfies Record<string, RegExp>

/** Calls of `node:fs/promises`; `during` leaves half of the bytes behind. */
export const FILE_CALLS = ['open', 'write', 'sync', 'link', 'remove', 'unlink'] as const

/** Requests to the object store. `before` nothing is sent, `during` all of it is, and `after` the answer is there. */
export const STORE_REQUESTS = ['put', 'begin parts', 'part', 'complete', 'delete'] as const

export type Site =
  | keyof typeof STATEMENTS
  | `file ${(typeof FILE_CALLS)[number]}`
  | `store ${(typeof STORE_REQUESTS)[number]}`

const MOMENTS: readonly Moment[] = ['before', 'during', 'after']

const pointsOf = (...sites: readonly Site[]): CrashPoint[] =>
  sites.flatMap((site) => MOMENTS.map((moment): CrashPoint => `${moment} ${site}`))

/** Of an object whose bytes pass the server, by where they go; S3 has those of one request, and of parts. */
const BYTES: Readonly<Record<'file' | 's3' | 's3 in parts', readonly CrashPoint[]>> = {
  file: ['before file open', 'after file open', ...pointsOf('file write', 'file sync', 'file link', 'file remove')],
  s3: pointsOf('store put'),
  's3 in parts': pointsOf('store begin parts', 'store part', 'store complete'),
}

/** The points of a capture that goes into its row. */
export const INLINE_POINTS = pointsOf('capture')

/** The points of captures that go into their rows by one statement. */
export const TOGETHER_POINTS = pointsOf('captures together')

/** The points of a capture that becomes an object. */
export function objectPoints(bytes: keyof typeof BYTES): readonly CrashPoint[] {
  return [...pointsOf('intent'), ...BYTES[bytes], ...pointsOf('capture')]
}

export const BEGIN_POINTS = pointsOf('upload begins')

/** Of the bytes of an upload, where they pass the server. */
export const SEND_POINTS = [...pointsOf('upload lives'), ...BYTES.file]

export const COMMIT_POINTS = pointsOf('upload lives', 'capture', 'upload ends')

/** The points of a deletion, and of the sweep that it wakes. */
export const DELETE_POINTS = {
  file: pointsOf('delete', 'take', 'file unlink', 'forget'),
  s3: pointsOf('delete', 'take', 'store delete', 'forget'),
} as const

export const DELETE_RUN_POINTS = pointsOf('run is deleted')

/** Variable that names the file which tells a server where to end; it is looked at by `crash-hooks.ts` at each step. */
export const CRASH_FILE_VARIABLE = 'CRASH_FILE'
/** What is appended to the name of that file once the server is about to be killed. */
export const CRASHED_SUFFIX = '.crashed'
