import { type FaultProxy, startFaultProxy } from './fault-proxy.ts'

export interface Behind extends AsyncDisposable {
  /** Of the service, by way of the proxy. */
  readonly url: string
  readonly proxy: FaultProxy
}

/** Puts a fault proxy in front of whatever listens at a URL. */
export async function behindProxy(url: string): Promise<Behind> {
  const through = new URL(url)
  const proxy = await startFaultProxy({ host: through.hostname, port: Number(through.port) })
  through.hostname = proxy.host
  through.port = String(proxy.port)
  return {
    // A URL without a path gets none.
    url: url.endsWith('/') ? through.href : through.href.replace(/\/$/, ''),
    proxy,
    [Symbol.asyncDispose]: () => proxy[Symbol.asyncDispose](),
  }
}
