import { useEffect } from 'preact/hooks'
import { signedIn } from './api/client.ts'
import { go, place, toRuns } from './location.ts'
import { Header } from './parts/header.tsx'
import { openHelp } from './parts/help.ts'
import { useKeys } from './parts/keys.ts'
import { LineBar } from './parts/line-bar.tsx'
import { Notices, notify } from './parts/notices.tsx'
import { nextTheme } from './parts/theme.ts'
import { CompareScreen } from './screens/compare.tsx'
import { RunScreen } from './screens/run.tsx'
import { RunsScreen } from './screens/runs.tsx'
import { StateScreen } from './screens/state.tsx'

export function App() {
  useKeys({
    '?': openHelp,
    t: () => notify(`Theme: ${nextTheme()}`),
    g: () => go(toRuns()),
  })
  return (
    <>
      <a class="skip" href="#main">
        Skip to the content
      </a>
      <Header />
      <LineBar />
      <main id="main" tabIndex={-1}>
        <Screen key={signedIn.value} />
      </main>
      <Notices />
    </>
  )
}

function Screen() {
  const here = place.value
  useEffect(() => {
    document.title = titleOf(here)
  }, [here])
  switch (here.screen) {
    case 'runs':
      return <RunsScreen />
    case 'run':
      return <RunScreen key={here.runId} runId={here.runId} />
    case 'state':
      return <StateScreen runId={here.runId} snapshotId={here.snapshotId} />
    case 'compare':
      return <CompareScreen key={`${here.base} ${here.other}`} base={here.base} other={here.other} />
    default:
      return (
        <section class="page">
          <h1>Nothing is here</h1>
          <p>
            The address leads to no place of the explorer. <a href={toRuns()}>All runs</a>
          </p>
        </section>
      )
  }
}

function titleOf(here: typeof place.value): string {
  if (here.screen === 'compare') return `${here.base} and ${here.other} · statelens`
  return 'runId' in here ? `${here.runId} · statelens` : 'statelens'
}
