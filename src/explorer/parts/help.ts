import { hasLetters, setLetters } from './keys.ts'

/** The list of keys stands in the page itself, ready to be opened. */
const dialog = document.querySelector<HTMLDialogElement>('#help')

export const openHelp = () => dialog?.showModal()

export function startHelp(): void {
  const letters = document.querySelector<HTMLInputElement>('#letters')
  document.querySelector('#help-close')?.addEventListener('click', () => dialog?.close())
  if (!letters) return
  letters.checked = hasLetters()
  letters.addEventListener('change', () => setLetters(letters.checked))
}
