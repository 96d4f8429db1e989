import { useState } from 'preact/hooks'
import { setToken, token } from '../api/client.ts'

/** Takes a bearer token: it goes into headers, and never into an address. */
export function TokenForm({ label = 'Token' }: { readonly label?: string }) {
  const [text, setText] = useState('')
  return (
    <form
      class="token-form"
      onSubmit={(event) => {
        event.preventDefault()
        if (text.trim() !== '') setToken(text.trim())
      }}
    >
      <label>
        {label}{' '}
        <input
          type="password"
          autocomplete="off"
          spellcheck={false}
          value={text}
          onInput={(event) => setText(event.currentTarget.value)}
        />
      </label>
      <button type="submit" class="primary">
        Use it
      </button>
      {token.value !== null && label === 'Token' && <span class="muted">The one in use was not accepted.</span>}
    </form>
  )
}
