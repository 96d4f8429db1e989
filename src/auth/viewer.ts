import { AppError } from '../errors.ts'
import { SCOPES, type Scope } from './scopes.ts'

export type { Scope }

/** How somebody is known: nobody is asked, by a token, by a JWT, or by the link that he holds. */
export const VIEWER_MODES = ['none', 'token', 'jwt', 'link'] as const
export type ViewerMode = (typeof VIEWER_MODES)[number]

/** Who is asking. */
export interface Viewer {
  /** What logs call him: never a secret. Null where nobody is asked. */
  readonly name: string | null
  readonly scopes: ReadonlySet<Scope>
  readonly mode: ViewerMode
}

/** The viewer of a server that asks nobody who they are: it listens on loopback, or was told to. */
export const ANYONE: Viewer = { name: null, scopes: new Set(SCOPES), mode: 'none' }

/** Whoever shows nothing to a server that asks. */
export const STRANGER: Viewer = { name: null, scopes: new Set<Scope>(), mode: 'none' }

/** Whoever holds a link, by what its maker might read. */
export const LINK_HOLDERS = {
  whole: { name: null, scopes: new Set<Scope>(['read', 'pii:read']), mode: 'link' },
  masked: { name: null, scopes: new Set<Scope>(['read']), mode: 'link' },
} as const satisfies Record<string, Viewer>

/** By what one viewer is told from another; all who are not known are one. */
export function keyOf({ name, mode }: Viewer): string {
  return name === null ? '' : `${mode} ${name}`
}

/** @throws AppError `UNAUTHENTICATED` for a stranger. */
export function requireKnown(viewer: Viewer): void {
  if (viewer === STRANGER) {
    throw new AppError('UNAUTHENTICATED', 'This needs a token: Authorization: Bearer')
  }
}

/** Of somebody who was known before and shows the same again. @throws as `requireScope` does, where he may less by now. */
export function requireNoLess(before: Viewer, now: Viewer): void {
  for (const scope of before.scopes) requireScope(now, scope)
}

/** @throws AppError `UNAUTHENTICATED` for a stranger, `FORBIDDEN` for who lacks the scope. */
export function requireScope(viewer: Viewer, scope: Scope): void {
  if (viewer.scopes.has(scope)) return
  requireKnown(viewer)
  throw new AppError('FORBIDDEN', `This needs the scope ${scope}`)
}
