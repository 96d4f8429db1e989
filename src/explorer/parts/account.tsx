import { useEffect, useRef, useState } from 'preact/hooks'
import { setToken, token } from '../api/client.ts'
import { useAsk } from '../api/use-ask.ts'
import { shorten, visible } from '../format.ts'
import { ViewerDocument, type ViewerQuery } from '../generated/documents.ts'
import { Icon } from './icon.tsx'
import { TokenForm } from './token-form.tsx'

const SCOPES = [
  ['read', 'see runs and states'],
  ['pii:read', 'see personal data'],
  ['storage:read', 'see where states lie'],
  ['write', 'record'],
  ['delete', 'delete'],
  ['admin', 'everything, and legal holds'],
] as const

/** Who is signed in, with what scopes; nothing where the server asks nobody. To be made anew when somebody else signs in. */
export function Account() {
  const [isOpen, setIsOpen] = useState(false)
  const dialog = useRef<HTMLDialogElement>(null)
  const { data, fault } = useAsk(ViewerDocument, {})
  useEffect(() => {
    if (isOpen) dialog.current?.showModal()
    else dialog.current?.close()
  }, [isOpen])
  const viewer = data?.viewer
  const isKnown = viewer !== undefined && viewer.mode !== 'NONE'
  if (!isKnown && fault?.code !== 'UNAUTHENTICATED' && token.value === null) return null
  const name = isKnown ? (viewer.name ?? 'signed in') : 'Sign in'
  const close = () => setIsOpen(false)
  return (
    <>
      <button
        type="button"
        class="quiet account"
        aria-haspopup="dialog"
        title="Who is signed in"
        onClick={() => setIsOpen(true)}
      >
        <Icon name={isKnown ? 'user' : 'lock'} /> <bdi>{visible(shorten(name, 24))}</bdi>
      </button>
      <dialog ref={dialog} class="dialog narrow" aria-label="Who is signed in" onClose={close}>
        <div class="dialog-head">
          <h2>
            <bdi>{isKnown ? visible(name) : 'Sign in'}</bdi>
          </h2>
          <button type="button" class="quiet" aria-label="Close" onClick={close}>
            <Icon name="x" />
          </button>
        </div>
        {isKnown && <Scopes viewer={viewer} />}
        {isOpen && <TokenForm label={isKnown ? 'Another token' : 'Token'} />}
        {token.value !== null && (
          <p class="actions">
            <button type="button" onClick={() => setToken(null)}>
              Sign out
            </button>
            <span class="muted">The token is forgotten, and what was read goes from the page.</span>
          </p>
        )}
      </dialog>
    </>
  )
}

function Scopes({ viewer: { scopes, mode } }: Pick<ViewerQuery, 'viewer'>) {
  return (
    <>
      <p class="muted">
        Known by {mode === 'JWT' ? 'a token that an issuer has signed' : "a token of the server's file"}.
      </p>
      <ul class="scopes" aria-label="Scopes">
        {SCOPES.map(([scope, what]) => {
          const isHeld = scopes.includes(scope)
          return (
            <li key={scope} class={isHeld ? undefined : 'muted'} data-held={isHeld}>
              <Icon name={isHeld ? 'circle-check' : 'circle-minus'} label={isHeld ? 'may' : 'may not'} />
              <span>{what}</span>
              <span class="code">{scope}</span>
            </li>
          )
        })}
      </ul>
    </>
  )
}
