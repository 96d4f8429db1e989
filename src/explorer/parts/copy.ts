import { notify } from './notices.tsx'

/** To the clipboard, also where the page is not served by https. */
export async function copyText(text: string, what: string): Promise<void> {
  try {
    await navigator.clipboard.writeText(text)
  } catch {
    if (!copyBySelection(text)) return notify('The browser does not let this page copy', { isBad: true })
  }
  notify(`Copied ${what}`)
}

function copyBySelection(text: string): boolean {
  const area = document.createElement('textarea')
  area.className = 'visually-hidden'
  area.value = text
  const before = document.activeElement
  document.body.append(area)
  area.select()
  const isDone = document.execCommand('copy')
  area.remove()
  if (before instanceof HTMLElement) before.focus()
  return isDone
}
