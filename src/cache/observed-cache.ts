import { inSpan } from '../telemetry/spans.ts'
import type { Telemetry } from '../telemetry/telemetry.ts'
import type { ByteCache } from './byte-cache.ts'

/** @param system what it is, as traces call it: `redis`, or `memory` of this process. */
export function observedCache(cache: ByteCache, telemetry: Telemetry, system: 'redis' | 'memory'): ByteCache {
  const { spans, cacheRead } = telemetry
  const get: ByteCache['get'] = async (key) => {
    const bytes = await cache.get(key)
    cacheRead(bytes !== undefined)
    return bytes
  }
  if (!spans) return { ...cache, get }
  const attributesOf = (operation: string) =>
    system === 'redis' ? { 'db.system.name': system, 'db.operation.name': operation } : {}
  const kind = system === 'redis' ? 'client' : 'internal'
  return {
    ...cache,
    async get(key) {
      const span = spans.start('cache get', { kind, attributes: attributesOf('GET') })
      const bytes = await span.within(() => get(key))
      span.set({ 'statelens.cache.hit': bytes !== undefined })
      span.end()
      return bytes
    },
    // Nobody waits for it: what it takes is what it takes to hand it over.
    set: (key, bytes) =>
      inSpan(spans, 'cache set', { kind, attributes: attributesOf('SET') }, () => cache.set(key, bytes)),
  }
}
