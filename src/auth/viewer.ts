/** What a caller may do beyond reading metadata and payloads. `storage:read` shows where payloads lie. */
export type Scope = 'storage:read'

/** Who is asking. */
export interface Viewer {
  readonly scopes: ReadonlySet<Scope>
}

/** The viewer of a server that asks nobody who they are: it listens on loopback, or was told to. */
export const ANYONE: Viewer = { scopes: new Set<Scope>(['storage:read']) }
