import { type Handler, sendJson } from './http.ts'

/** One part of the server that may be down. */
export interface Dependency {
  readonly name: 'database' | 'standby' | 'storage' | 'cache'
  /** Whether answers depend on it; without the others the server is degraded, not unready. */
  readonly required: boolean
  /** `read-only`: it answers, and takes no writes. `behind`: it answers, of what is too long ago. */
  isUp(): Promise<boolean | 'read-only' | 'behind'>
  /** What else is told of it, after the look. */
  readonly figures?: () => Readonly<Record<string, number | null>>
}

type State = 'up' | 'down' | 'read-only' | 'behind'

/** Milliseconds that one look at a part may take, and that its result is kept. */
const LOOK_MILLIS = 1500
const KEEP_MILLIS = 1000

export interface Health {
  readonly live: Handler
  /**
   * 503 while the database or the storage is down, and while the server drains. A database that takes no writes, as a standby, is
   * not enough either: reads are answered, but no capture could be.
   *
   * Metadata and small states would work without the storage. It is required all the same: every large state and every capture of
   * one would fail here, and whoever balances the load sends them to an instance that can. Where the store is down for all of
   * them, a balancer with nothing left mostly goes on sending to all, and what needs no storage is answered as ever.
   */
  readonly ready: Handler
}

/** @param draining from when it fires on, the server is not ready: it is about to stop. */
export function createHealth(dependencies: readonly Dependency[], draining: AbortSignal): Health {
  let last: { readonly at: number; readonly result: Promise<Record<string, State>> } | undefined

  function look(): Promise<Record<string, State>> {
    if (!last || performance.now() - last.at > KEEP_MILLIS)
      last = { at: performance.now(), result: lookAtAll(dependencies) }
    return last.result
  }

  return {
    async live({ response }) {
      sendJson(response, 200, { status: 'live' })
    },
    async ready({ response }) {
      const parts = await look()
      const down = dependencies.filter(({ name }) => parts[name] !== 'up')
      const unready = draining.aborted || down.some(({ required }) => required)
      const status = draining.aborted ? 'draining' : unready ? 'not ready' : down.length > 0 ? 'degraded' : 'ready'
      const figures = dependencies.map((dependency) => dependency.figures?.())
      sendJson(response, unready ? 503 : 200, Object.assign({ status, ...parts }, ...figures))
    },
  }
}

async function lookAtAll(dependencies: readonly Dependency[]): Promise<Record<string, State>> {
  const looks = dependencies.map(async ({ name, isUp }) => {
    const late = new Promise<false>((resolve) => {
      setTimeout(() => resolve(false), LOOK_MILLIS).unref()
    })
    const up = await Promise.race([isUp().catch(() => false), late])
    return [name, up === true ? 'up' : up || 'down'] as const
  })
  return Object.fromEntries(await Promise.all(looks))
}
