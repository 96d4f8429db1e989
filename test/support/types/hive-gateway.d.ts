/** Of its own declarations none is read: they add to those of graphql, for everybody who shares a program with them. */
import type { RequestListener } from 'node:http'

export interface GatewayOptions {
  readonly supergraph: string
  readonly logging: boolean
  readonly propagateHeaders: {
    fromClientToSubgraphs(payload: { readonly request: Request }): Record<string, string | undefined>
  }
  readonly transportEntries: object
}

export function createGatewayRuntime(options: GatewayOptions): RequestListener & AsyncDisposable
