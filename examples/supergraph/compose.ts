/** One schema of both subgraphs: `node compose.ts > supergraph.graphql`, with statelens at STATELENS_URL and the orders at ORDERS_URL. */
import { composeServices } from '@theguild/federation-composition'
import { parse } from 'graphql'
import { ORDERS_SDL } from './orders.ts'

export interface Subgraphs {
  /** The server's address, without `/graphql`. */
  readonly statelensUrl: string
  readonly ordersUrl: string
  /** Where statelens asks who comes. */
  readonly token?: string | undefined
}

/** @throws Error with what the two do not agree on. */
export async function composeSupergraph({ statelensUrl, ordersUrl, token }: Subgraphs): Promise<string> {
  const statelensSdl = await fetchSdl(`${statelensUrl}/graphql`, token)
  const { supergraphSdl, errors } = composeServices([
    { name: 'statelens', url: `${statelensUrl}/graphql`, typeDefs: parse(statelensSdl) },
    { name: 'orders', url: `${ordersUrl}/graphql`, typeDefs: parse(ORDERS_SDL) },
  ])
  if (supergraphSdl === undefined) throw new Error(errors?.map(({ message }) => message).join('\n'))
  return supergraphSdl
}

/** As any router asks for it; `schema.graphql` of the package is the same. */
async function fetchSdl(url: string, token: string | undefined): Promise<string> {
  const response = await fetch(url, {
    method: 'POST',
    headers: {
      'content-type': 'application/json',
      ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
    },
    body: JSON.stringify({ query: '{ _service { sdl } }' }),
  })
  const { data } = (await response.json()) as { data: { _service: { sdl: string } } }
  return data._service.sdl
}

if (import.meta.main) {
  const { STATELENS_URL = 'http://127.0.0.1:4000', ORDERS_URL = 'http://127.0.0.1:4001', STATELENS_TOKEN } = process.env
  console.log(await composeSupergraph({ statelensUrl: STATELENS_URL, ordersUrl: ORDERS_URL, token: STATELENS_TOKEN }))
}
