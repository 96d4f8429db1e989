import { describe, it } from 'node:test'
import type { Unavailable } from './services.ts'

/**
 * A suite on a real service. Where the service cannot be had, one line says so and how to get it; under `CI` that fails.
 * Await it at the top of the file: `await describeWith('S3 storage', s3, (server) => { it(…) })`.
 */
export async function describeWith<Service extends object>(
  name: string,
  service: () => Promise<Service | Unavailable>,
  body: (service: Service) => void,
): Promise<void> {
  const found = await service().catch((cause: unknown) => new Error('The service did not start', { cause }))
  describe(name, () => {
    if (found instanceof Error) fail(found)
    else if (!isUnavailable(found)) body(found)
    else if (process.env['CI']) fail(new Error(found.unavailable))
    else it('needs a service', { skip: found.unavailable })
  })
}

export function isUnavailable(service: object): service is Unavailable {
  return 'unavailable' in service
}

function fail(reason: Error): void {
  it('needs a service', () => {
    throw reason
  })
}
