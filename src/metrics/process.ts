import { collectDefaultMetrics, Registry } from 'prom-client'

/** One for all servers of the process: what watches the event loop and the collector of garbage never ends. */
let registry: Registry | undefined

/** Of the process: CPU, memory, files, garbage, and how long the event loop was kept from its work. */
export function processRegistry(): Registry {
  if (!registry) {
    registry = new Registry()
    collectDefaultMetrics({ register: registry })
  }
  return registry
}
