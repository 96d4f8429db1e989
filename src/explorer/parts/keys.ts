import { signal } from '@preact/signals'
import { useEffect } from 'preact/hooks'

const KEY = 'statelens-letters'

/** Whether single letters do something. */
export const hasLetters = () => localStorage.getItem(KEY) !== 'off'

export function setLetters(isOn: boolean): void {
  localStorage.setItem(KEY, isOn ? 'on' : 'off')
}

/** By the key as the browser names it; two that are pressed one after the other are written `y p`. */
export type KeyMap = Readonly<Record<string, () => void>>

const maps: KeyMap[] = []
const PREFIX_MILLIS = 1500

/** The first key of two; empty: none. */
export const prefix = signal('')
let forget: ReturnType<typeof setTimeout> | undefined

/** Keys that count while the component is there; what came later goes first. */
export function useKeys(map: KeyMap): void {
  useEffect(() => {
    maps.unshift(map)
    return () => void maps.splice(maps.indexOf(map), 1)
  })
}

export function startKeys(): void {
  document.addEventListener('keydown', (event) => {
    if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey || isTyped(event.target)) return
    if (event.key.length === 1 && !hasLetters()) return
    const combined = prefix.value === '' ? event.key : `${prefix.value} ${event.key}`
    const act = maps.find((map) => map[combined] !== undefined)?.[combined]
    if (act === undefined && maps.some((map) => Object.keys(map).some((name) => name.startsWith(`${event.key} `)))) {
      return void setPrefix(event.key)
    }
    setPrefix('')
    if (act === undefined) return
    event.preventDefault()
    act()
  })
}

function setPrefix(key: string): void {
  clearTimeout(forget)
  prefix.value = key
  if (key !== '') forget = setTimeout(() => setPrefix(''), PREFIX_MILLIS)
}

/** Letters are dead where one writes, and while a dialog is open. */
function isTyped(target: EventTarget | null): boolean {
  if (!(target instanceof HTMLElement)) return false
  return target.closest('input:not([type=checkbox]), textarea, select, dialog, [contenteditable]') !== null
}
