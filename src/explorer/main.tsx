import { render } from 'preact'
import { App } from './app.tsx'
import { startLocation } from './location.ts'
import { startHelp } from './parts/help.ts'
import { startKeys } from './parts/keys.ts'
import { startTheme } from './parts/theme.ts'

startTheme()
startLocation()
startKeys()
startHelp()

// Found from here now, and not from wherever the address leads later.
for (const link of document.querySelectorAll<HTMLLinkElement>('link[rel=icon]')) link.href = new URL(link.href).href

const root = document.getElementById('app')
if (root) {
  root.replaceChildren()
  render(<App />, root)
}
