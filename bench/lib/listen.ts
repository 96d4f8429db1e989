import { once } from 'node:events'
import type { Server } from 'node:http'
import type { AddressInfo } from 'node:net'

/** Listens on a free port of loopback, prints the URL, and ends on SIGTERM. */
export async function listen(server: Server): Promise<void> {
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  process.stdout.write(`listening on http://127.0.0.1:${(server.address() as AddressInfo).port}/\n`)
  process.once('SIGTERM', () => process.exit())
}

/** The variable, which whoever starts the server has to set. */
export function setting(name: string): string {
  const value = process.env[name]
  if (value === undefined) throw new Error(`${name} is not set`)
  return value
}
