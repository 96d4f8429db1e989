/** What a viewer may hold: rights, each of which stands for itself alone. Only `admin` stands for all of them. */
export const SCOPES = ['read', 'write', 'delete', 'storage:read', 'pii:read', 'admin'] as const
export type Scope = (typeof SCOPES)[number]

const KNOWN: ReadonlySet<string> = new Set(SCOPES)

export function isScope(name: string): name is Scope {
  return KNOWN.has(name)
}

/** What somebody may to whom these are given. */
export function scopesOf(given: Iterable<Scope>): ReadonlySet<Scope> {
  const scopes = new Set(given)
  return scopes.has('admin') ? new Set(SCOPES) : scopes
}
