/** Where a server can be killed: a step of its work towards the outside, before it, when it is under way, or when its answer is there. */
export type Moment = 'before' | 'during' | 'after'

export type CrashPoint = `${Moment} ${Site}`

/** What a statement of each kind says, and no other does. */
export const STATEMENTS = {
  intent: /insert into "statelens_objects"/,
  capture: /from statelens_capture\(/,
  'upload begins': /insert into statelens_uploads/,
  'upload lives': /update statelens_uploads set not_before/,
  'upload ends': /update statelens_uploads set state/,
  delete: /delete from state_snapshots where ctid/,
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

const of = (sites: readonly Site[], moments = MOMENTS): CrashPoint[] =>
  sites.flatMap((site) => moments.map((moment): CrashPoint => `${moment} ${site}`))

/** The points that a capture passes which goes into its row. */
export const INLINE_POINTS = of(['capture'])

/** The points that an object of its own passes, by where it goes. */
export const OBJECT_POINTS = {
  file: of(['intent', 'file open', 'file write', 'file sync', 'file link', 'file remove', 'capture']),
  s3: of(['intent', 'store put', 'capture']),
  /** Of more than one part. */
  's3 in parts': of(['intent', 'store begin parts', 'store part', 'store complete', 'capture']),
} as const

/** The points of an upload past the server, up to its commit. */
export const UPLOAD_POINTS = of(['upload begins', 'upload lives', 'capture', 'upload ends'])

/** The points of a deletion, and of the sweep that it wakes. */
export const DELETE_POINTS = {
  file: of(['delete', 'take', 'file unlink', 'forget']),
  s3: of(['delete', 'take', 'store delete', 'forget']),
} as const

/** Variable that names the file which tells a server where to end; it is looked at by `crash-hooks.ts` at each step. */
export const CRASH_FILE_VARIABLE = 'CRASH_FILE'
/** What is appended to the name of that file once the server is about to be killed. */
export const CRASHED_SUFFIX = '.crashed'
