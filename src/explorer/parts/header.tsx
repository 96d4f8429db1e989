import { signedIn } from '../api/client.ts'
import { shorten, visible } from '../format.ts'
import { params, place, toRun, toRuns } from '../location.ts'
import { Account } from './account.tsx'
import { openHelp } from './help.ts'
import { Icon } from './icon.tsx'
import { notify } from './notices.tsx'
import { nextTheme, theme } from './theme.ts'

const THEME_ICONS = { auto: 'monitor', light: 'sun', dark: 'moon' }

/** Where one is, and what holds everywhere. */
export function Header() {
  return (
    <header class="top">
      <a class="brand" href={toRuns()}>
        <svg class="logo" aria-hidden="true" viewBox="0 0 32 32">
          <circle cx="14" cy="14" r="9" />
          <path d="m20.5 20.5 7 7M10.5 11.5h7M10.5 16h4" />
        </svg>
        statelens
      </a>
      <Trail />
      <span class="spacer" />
      <Account key={signedIn.value} />
      <button
        type="button"
        class="quiet"
        title="Theme (t)"
        aria-label={`Theme: ${theme.value}`}
        onClick={() => notify(`Theme: ${nextTheme()}`)}
      >
        <Icon name={THEME_ICONS[theme.value]} />
      </button>
      <button type="button" class="quiet" title="Keys (?)" aria-label="Keys" onClick={openHelp}>
        <Icon name="keyboard" />
      </button>
    </header>
  )
}

function Trail() {
  const here = place.value
  if (here.screen === 'runs' || here.screen === 'nowhere') return null
  return (
    <nav class="trail" aria-label="Where this is">
      <a href={toRuns()}>Runs</a>
      {here.screen === 'compare' ? (
        <span aria-current="page">Compare</span>
      ) : (
        <>
          <a href={toRun(here.runId)} aria-current={here.screen === 'run' ? 'page' : undefined}>
            <bdi>{visible(shorten(here.runId, 60))}</bdi>
          </a>
          {here.screen === 'state' && (
            <span aria-current="page">{params.value.has('vs') ? 'Difference' : 'State'}</span>
          )}
        </>
      )}
    </nav>
  )
}
