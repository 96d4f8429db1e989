import type { Handler } from './http.ts'

/** One part of the server that may be down. */
export interface Dependency {
  readonly name: 'database' | 'storage' | 'cache'
  /** Whether answers depend on it; without the others the server is degraded, not unready. */
  readonly required: boolean
  isUp(): Promise<boolean>
}

/** Milliseconds that one look at a part may take, and that its result is kept. */
const LOOK_MILLIS = 1500
const KEEP_MILLIS = 1000

export interface Health {
  readonly live: Handler
  readonly ready: Handler
  /** From now on the server is not ready: it is about to stop. */
  drain(): void
}

export function createHealth(dependencies: readonly Dependency[]): Health {
  let draining = false
  let last: { readonly at: number; readonly result: Promise<Record<string, 'up' | 'down'>> } | undefined

  function look(): Promise<Record<string, 'up' | 'down'>> {
    if (!last || performance.now() - last.at > KEEP_MILLIS)
      last = { at: performance.now(), result: lookAtAll(dependencies) }
    return last.result
  }

  return {
    async live({ response }) {
      response.writeHead(200, HEADERS).end('{"status":"live"}')
    },
    async ready({ response }) {
      const parts = await look()
      const down = dependencies.filter(({ name }) => parts[name] === 'down')
      const unready = draining || down.some(({ required }) => required)
      const status = draining ? 'draining' : unready ? 'not ready' : down.length > 0 ? 'degraded' : 'ready'
      response.writeHead(unready ? 503 : 200, HEADERS).end(JSON.stringify({ status, ...parts }))
    },
    drain() {
      draining = true
    },
  }
}

const HEADERS = { 'content-type': 'application/json; charset=utf-8', 'cache-control': 'no-store' }

async function lookAtAll(dependencies: readonly Dependency[]): Promise<Record<string, 'up' | 'down'>> {
  const looks = dependencies.map(async ({ name, isUp }) => {
    const late = new Promise<boolean>((resolve) => {
      setTimeout(() => resolve(false), LOOK_MILLIS).unref()
    })
    const up = await Promise.race([isUp().catch(() => false), late])
    return [name, up ? 'up' : 'down'] as const
  })
  return Object.fromEntries(await Promise.all(looks))
}
