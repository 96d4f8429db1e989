import type { Rows } from '../db/connect.ts'
import { readMoment } from '../db/queries/changes.ts'
import { BEGINNING, type CursorScope, createCursorWriter, type Place, readCursor } from './cursor.ts'
import type { LiveEvent } from './event.ts'
import type { Hub, Membership } from './hub.ts'
import { patiently } from './patience.ts'
import type { Past, PastPage } from './tail.ts'
import { createWatch, type Source, type Watch } from './watch.ts'

export interface After {
  /** A cursor; null or undefined: none. */
  readonly after?: string | null | undefined
  /** Ends the beginning of it; what has begun ends by its `return`. */
  readonly signal?: AbortSignal | undefined
}

/** Where somebody begins, and the cursors that it is given. */
export interface Beginning {
  readonly begin: Place
  /** Whether the run has been there. */
  wasThere(): boolean
  /** Told when it is. */
  readonly onThere: () => void
  /** To be told before there are events by the numbers of a cluster. */
  readonly onCluster: (cluster: string) => void
  readonly cursorOf: (event: LiveEvent) => string
}

/** @throws AppError `BAD_REQUEST` for what is no cursor of these events. One of another cluster leads to the beginning. */
export async function beginAt(db: Rows, scope: CursorScope, { after, signal }: After): Promise<Beginning> {
  let cluster = after == null ? '' : (await readMoment(db, { signal })).cluster
  const given = after == null ? null : readCursor({ scope, cluster }, after)
  let wasThere = given?.wasThere ?? false
  let write = createCursorWriter({ scope, cluster })
  return {
    begin: given?.place ?? BEGINNING,
    wasThere: () => wasThere,
    onThere() {
      wasThere = true
    },
    onCluster(told) {
      if (told === cluster) return
      cluster = told
      write = createCursorWriter({ scope, cluster })
    },
    cursorOf(event) {
      wasThere ||= event.kind === 'RunUpdated'
      return write({ place: event.place, wasThere })
    },
  }
}

/** Reads the first page at once: what fails then fails whoever asks. Later a database that is away is waited for. */
export async function begun(past: Past, signal: AbortSignal | undefined): Promise<Past> {
  let first: PastPage | null = await past.read(signal ?? new AbortController().signal)
  return {
    async read(reading) {
      const page = first
      first = null
      return page ?? (await patiently(() => past.read(reading), reading))
    },
    goBack(place) {
      first = null
      past.goBack(place)
    },
  }
}

/** A watch of a member of the hub, who leaves it where the watch cannot begin. */
export async function joined(
  hub: Hub,
  runId: string | null,
  open: (membership: Membership) => Promise<Source>,
): Promise<Watch> {
  const membership = await hub.join(runId)
  try {
    return createWatch(await open(membership))
  } catch (error) {
    membership.leave()
    throw error
  }
}
