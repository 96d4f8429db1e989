/**
 * Hive Gateway in front of statelens and the orders: `node gateway.ts`, with statelens at STATELENS_URL. Apollo Gateway and routers in Rust take the
 * same supergraph, as `compose.ts` prints it.
 */
import { once } from 'node:events'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { createGatewayRuntime } from '@graphql-hive/gateway-runtime'
import { composeSupergraph } from './compose.ts'
import { createOrders } from './orders.ts'

export interface Gateway {
  readonly server: Server
  close(): Promise<void>
}

export function createGateway(supergraph: string): Gateway {
  const gateway = createGatewayRuntime({
    supergraph,
    logging: false,
    // Who asks the gateway is who asks statelens.
    propagateHeaders: {
      fromClientToSubgraphs({ request }) {
        const authorization = request.headers.get('authorization')
        return authorization === null ? {} : { authorization }
      },
    },
    // Events come by SSE, as they do from statelens itself.
    transportEntries: { statelens: { options: { subscriptions: { kind: 'http' } } } },
  })
  return {
    server: createServer(gateway),
    close: async () => await gateway[Symbol.asyncDispose](),
  }
}

if (import.meta.main) {
  const { STATELENS_URL: statelensUrl = 'http://127.0.0.1:4000', STATELENS_TOKEN: token, PORT = '4002' } = process.env
  const orders = createOrders([{ id: '7', runId: 'nightly-digest-0412' }])
  orders.listen(4001, '127.0.0.1')
  await once(orders, 'listening')
  const ordersUrl = `http://127.0.0.1:${(orders.address() as AddressInfo).port}`
  const { server } = createGateway(await composeSupergraph({ statelensUrl, ordersUrl, token }))
  server.listen(Number(PORT), '127.0.0.1', () => console.log(`http://127.0.0.1:${PORT}/graphql`))
}
