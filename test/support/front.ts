import { createFailureLog } from '../../src/failure-log.ts'
import { createLogger } from '../../src/log.ts'
import { createFront, type FrontOptions, type Route } from '../../src/server/http.ts'
import { listen } from '../../src/server/listen.ts'
import { paceOfReaders } from '../../src/server/pace.ts'

export interface TestFront extends AsyncDisposable {
  readonly url: string
  /** Has the front know that it is about to stop. */
  drain(): void
}

/** Routes behind the front of the server, with nothing else; what is under way when it ends is not waited for. */
export async function serveRoutes(
  routes: readonly Route[],
  options: Partial<Omit<FrontOptions, 'routes' | 'draining'>> = {},
): Promise<TestFront> {
  const draining = new AbortController()
  const front = createFront({
    log: createLogger({ level: 'silent' }),
    failures: createFailureLog(),
    readers: paceOfReaders(65_536),
    ...options,
    routes,
    draining: draining.signal,
  })
  const listener = await listen(front, { port: 0, host: '127.0.0.1', keepAliveMillis: 5000 })
  return {
    url: listener.url,
    drain: () => draining.abort(),
    [Symbol.asyncDispose]: () => listener.close({ drainMillis: 0 }),
  }
}
