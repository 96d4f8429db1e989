import type { Socket } from 'node:net'
import pg from 'pg'

const GIVE_UP_MILLIS = 2000

/** What pg keeps of a connection, and needs to ask for the end of its statement on another one. */
interface Cancelable {
  readonly host: string
  readonly port: number
  readonly ssl: unknown
  readonly sslNegotiation: string
  readonly processID: number | null
  readonly secretKey: number | null
}

interface SideConnection extends NodeJS.EventEmitter {
  readonly stream: Socket
  connect(portOrPath: number | string, host?: string): void
  requestSsl(): void
  cancel(processID: number | null, secretKey: number | null): void
}

/**
 * Asks PostgreSQL to end the statement that a connection is executing. It resolves when the request was taken or failed, and never
 * rejects: until then the connection must not be used for anything else, which would be ended in its place.
 */
export async function cancelStatement(client: pg.ClientBase): Promise<void> {
  const { host, port, ssl, sslNegotiation, processID, secretKey } = client as unknown as Cancelable
  const side = new (pg.Connection as unknown as new (config: object) => SideConnection)({ ssl, sslNegotiation })
  await new Promise<void>((resolve) => {
    const timer = setTimeout(resolve, GIVE_UP_MILLIS)
    const end = () => {
      clearTimeout(timer)
      resolve()
    }
    const send = () => side.cancel(processID, secretKey)
    side.once('connect', () => {
      if (!ssl) send()
      else if (sslNegotiation !== 'direct') side.requestSsl()
    })
    side.once('sslconnect', send)
    // PostgreSQL hangs up when it has passed the request on.
    side.once('end', end).on('error', end)
    if (host.startsWith('/')) side.connect(`${host}/.s.PGSQL.${port}`)
    else side.connect(port, host)
  })
  side.stream.destroy()
}
