import { effect, signal } from '@preact/signals'

const KEY = 'statelens-theme'
const THEMES = ['auto', 'light', 'dark'] as const
type Theme = (typeof THEMES)[number]

/** What was chosen; `auto` is as the device has it. */
export const theme = signal<Theme>(readTheme())

export function startTheme(): void {
  effect(() => {
    document.documentElement.dataset['theme'] = theme.value
  })
}

export function nextTheme(): Theme {
  const next = THEMES[(THEMES.indexOf(theme.value) + 1) % THEMES.length] ?? 'auto'
  theme.value = next
  localStorage.setItem(KEY, next)
  return next
}

function readTheme(): Theme {
  const kept = localStorage.getItem(KEY)
  return THEMES.find((one) => one === kept) ?? 'auto'
}
