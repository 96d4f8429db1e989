import { batch, signal } from '@preact/signals'
import { readSegment, writeSegment } from './path-segment.ts'

/** What the path says; the rest of the state stands in the query. */
export type Place =
  | { readonly screen: 'runs' }
  | { readonly screen: 'run'; readonly runId: string }
  | { readonly screen: 'state'; readonly runId: string; readonly snapshotId: string }
  | { readonly screen: 'compare'; readonly base: string; readonly other: string }
  | { readonly screen: 'nowhere' }

/** This script lies in a folder below the page: what a proxy puts in front of both is nobody's business. */
const script = import.meta.url
const ROOT = new URL('../', script)

/** The server's own root. */
export const SERVER = new URL('../', ROOT)

export const place = signal<Place>({ screen: 'nowhere' })
export const params = signal(new URLSearchParams())

/** Follows the address bar, and links to places of the page. */
export function startLocation(): void {
  read()
  addEventListener('popstate', read)
  document.addEventListener('click', (event) => {
    const link = event.target instanceof Element ? event.target.closest('a') : null
    if (link === null || link.target !== '' || link.hasAttribute('download') || event.button !== 0) return
    if (event.ctrlKey || event.metaKey || event.shiftKey || event.altKey || event.defaultPrevented) return
    if (!link.href.startsWith(ROOT.href)) return
    event.preventDefault()
    go(link.href)
  })
}

export interface GoOptions {
  /** Whether the place before is forgotten; default false. */
  readonly isReplacing?: boolean
}

export function go(href: string, { isReplacing = false }: GoOptions = {}): void {
  if (href === location.href) return
  if (isReplacing) history.replaceState(null, '', href)
  else history.pushState(null, '', href)
  read()
}

/** Changes parameters of the query; null takes one out. */
export function setParams(changes: Readonly<Record<string, string | null>>, options: GoOptions = {}): void {
  go(withParams(changes), options)
}

/** The address of this place with other parameters. */
export function withParams(changes: Readonly<Record<string, string | null>>): string {
  const next = new URLSearchParams(params.value)
  for (const [name, value] of Object.entries(changes)) {
    if (value === null) next.delete(name)
    else next.set(name, value)
  }
  return `${location.origin}${location.pathname}${writeQuery(next)}`
}

export const toRuns = (query: Readonly<Record<string, string>> = {}) => address('', query)
export const toRun = (runId: string, query: Readonly<Record<string, string>> = {}) =>
  address(`runs/${writeSegment(runId)}`, query)
export const toState = (runId: string, snapshotId: string, query: Readonly<Record<string, string>> = {}) =>
  address(`runs/${writeSegment(runId)}/snapshots/${writeSegment(snapshotId)}`, query)
export const toCompare = (base: string, other: string) =>
  address(`compare/${writeSegment(base)}/${writeSegment(other)}`)

function address(path: string, query: Readonly<Record<string, string>> = {}): string {
  return `${ROOT.href}${path}${writeQuery(new URLSearchParams(query))}`
}

/** As people read it: a pointer keeps its slashes. */
function writeQuery(query: URLSearchParams): string {
  const text = [...query].map(([name, value]) => `${name}=${plainly(value)}`).join('&')
  return text === '' ? '' : `?${text}`
}

function plainly(value: string): string {
  return encodeURIComponent(value.toWellFormed()).replaceAll('%2F', '/').replaceAll('%3A', ':').replaceAll('%2C', ',')
}

function read(): void {
  const path = location.pathname.startsWith(ROOT.pathname) ? location.pathname.slice(ROOT.pathname.length) : '-'
  batch(() => {
    place.value = placeOf(path)
    params.value = new URLSearchParams(location.search)
  })
}

function placeOf(path: string): Place {
  const [first, second, third, fourth, ...rest] = path.split('/').map(readSegment)
  if (path === '') return { screen: 'runs' }
  if (!second || rest.length > 0) return { screen: 'nowhere' }
  if (first === 'compare' && third && fourth === undefined) return { screen: 'compare', base: second, other: third }
  if (first !== 'runs') return { screen: 'nowhere' }
  if (third === undefined) return { screen: 'run', runId: second }
  return third === 'snapshots' && fourth
    ? { screen: 'state', runId: second, snapshotId: fourth }
    : { screen: 'nowhere' }
}
