import type { ComponentChildren } from 'preact'
import { useEffect, useRef, useState } from 'preact/hooks'
import { setToken, stopReading, token } from '../api/client.ts'
import { Fault, isPassing, type Progress } from '../api/fault.ts'
import { cameBack } from '../api/line.ts'
import { formatBytes } from '../format.ts'
import { toRuns } from '../location.ts'
import { Icon } from './icon.tsx'
import { say } from './notices.tsx'
import { TokenForm } from './token-form.tsx'

interface Look {
  readonly icon: string
  readonly title: string
  /** What it means, and what one may do. */
  readonly advice: string
}

const LOOKS: Readonly<Record<string, Look>> = {
  OBJECT_MISSING: {
    icon: 'triangle-alert',
    title: 'The bytes of this state are gone',
    advice: 'Its row is there, and the object that it names is not. What was known without reading it stands above.',
  },
  OBJECT_CORRUPT: {
    icon: 'triangle-alert',
    title: 'The bytes of this state are not those that were captured',
    advice: 'They do not have the digest that was noted then, so none of them is shown as if it were the state.',
  },
  INVALID_PAYLOAD: {
    icon: 'triangle-alert',
    title: 'This state is not valid JSON',
    advice: 'It cannot be opened as a tree. Its text can be read, and its bytes downloaded.',
  },
  PAYLOAD_TOO_LARGE: {
    icon: 'triangle-alert',
    title: 'That is too large to be shown whole',
    advice: 'Open a part of it, or download it.',
  },
  POINTER_NOT_FOUND: {
    icon: 'search',
    title: 'There is nothing at that pointer',
    advice: 'The nearest place that exists can be opened instead.',
  },
  NOT_FOUND: {
    icon: 'search',
    title: 'There is nothing here',
    advice: 'It was never recorded, or it has been deleted.',
  },
  DELETED: {
    icon: 'x',
    title: 'This was deleted while it was open',
    advice: 'What was read of it before still stands on the page.',
  },
  UNAUTHENTICATED: {
    icon: 'lock',
    title: 'This server wants to know who asks',
    advice: 'Give it a token. It is kept for this tab, and sent in a header alone.',
  },
  FORBIDDEN: {
    icon: 'lock',
    title: 'You may not read this',
    advice:
      'Whoever runs the server can give your token the scope that it takes: for a state with personal data, pii:read.',
  },
  OVERLOADED: {
    icon: 'loader',
    title: 'The server has too much to do',
    advice: 'The page asks again by itself when the server said so.',
  },
  STOPPED: { icon: 'x', title: 'Stopped', advice: 'Nothing more is read.' },
  SERVER_GONE: {
    icon: 'refresh-cw',
    title: 'The server does not answer',
    advice: 'The page looks for it, and goes on when it is back.',
  },
  OFFLINE: { icon: 'refresh-cw', title: 'This device has no connection', advice: 'The page goes on when it is back.' },
  STORAGE_TIMEOUT: {
    icon: 'clock-alert',
    title: 'The store did not answer in time',
    advice: 'The page asks again by itself.',
  },
  DATABASE_TIMEOUT: {
    icon: 'clock-alert',
    title: 'The database did not answer in time',
    advice: 'The page asks again by itself.',
  },
  STORAGE_UNAVAILABLE: {
    icon: 'triangle-alert',
    title: 'The store cannot be reached',
    advice: 'The page asks again by itself.',
  },
  DATABASE_UNAVAILABLE: {
    icon: 'triangle-alert',
    title: 'The database cannot be reached',
    advice: 'The page asks again by itself.',
  },
  GRAPHQL_VALIDATION_FAILED: {
    icon: 'refresh-cw',
    title: 'This page is older than the server',
    advice: 'Load it again.',
  },
}

const INDEXING: Look = {
  icon: 'loader',
  title: 'This state is looked through for the first time',
  advice:
    'Another program has written it. When that is done, each part of it can be read by itself; the page goes on then.',
}

const OTHER: Look = { icon: 'triangle-alert', title: 'That did not work', advice: '' }

export interface FaultViewProps {
  readonly fault: Fault
  readonly onRetry?: (() => void) | undefined
  /** Other ways on from here. */
  readonly children?: ComponentChildren
}

/** A failure where its result would stand: what it is, what it means, and what one can do. Never a dead end. */
export function FaultView({ fault: told, onRetry, children }: FaultViewProps) {
  const [isStopped, setIsStopped] = useState(false)
  useEffect(() => setIsStopped(false), [told])
  const fault = isStopped ? STOPPED : told
  useRetries(fault, onRetry)
  const { progress } = fault.detail
  useEffect(() => {
    if (progress) say(`Looked through ${amountOf(progress)}`)
  }, [progress])
  const { icon, title, advice } = progress ? INDEXING : (LOOKS[fault.code] ?? OTHER)
  return (
    <section class="fault" data-code={fault.code} role={progress ? undefined : 'alert'}>
      <Icon name={icon} />
      <div>
        <h2>{title}</h2>
        <p>{advice}</p>
        {progress && (
          <p>
            <progress value={progress.readBytes} max={progress.sizeBytes ?? undefined} aria-label="Looked through" />{' '}
            {amountOf(progress)}
          </p>
        )}
        {(advice === '' || !(fault.code in LOOKS)) && <p>{fault.message}</p>}
        {fault.code === 'UNAUTHENTICATED' && <TokenForm />}
        <p class="actions">
          {children}
          {onRetry && !progress && (
            <button
              type="button"
              onClick={() => {
                setIsStopped(false)
                onRetry()
              }}
            >
              <Icon name="refresh-cw" /> {isPassing(fault) ? 'Try now' : 'Try again'}
            </button>
          )}
          {onRetry && asksByItself(fault) && (
            <button
              type="button"
              onClick={() => {
                stopReading()
                setIsStopped(true)
              }}
            >
              <Icon name="x" /> Stop
            </button>
          )}
          {fault.code === 'GRAPHQL_VALIDATION_FAILED' && (
            <button type="button" onClick={() => location.reload()}>
              Load the page again
            </button>
          )}
          {fault.code === 'FORBIDDEN' && token.value !== null && (
            <button type="button" onClick={() => setToken(null)}>
              Use another token
            </button>
          )}
          {fault.code === 'NOT_FOUND' && <a href={toRuns()}>All runs</a>}
          <span class="code">{fault.code}</span>
        </p>
      </div>
    </section>
  )
}

const STOPPED = new Fault('STOPPED', 'Stopped')
const RETRY_SECONDS = 3
/** The server answers this question only when it has something to tell. */
const PROGRESS_SECONDS = 0.1

const amountOf = ({ readBytes, sizeBytes }: Progress) =>
  `${formatBytes(readBytes)}${sizeBytes === null ? '' : ` of ${formatBytes(sizeBytes)}`}`

/** What is looked for when the server is gone, is the server. */
const asksByItself = (fault: Fault) => isPassing(fault) && fault.code !== 'SERVER_GONE' && fault.code !== 'OFFLINE'

/** What passes by itself is asked again when the server said so; and all of it when the server is back. */
function useRetries(fault: Fault, onRetry: (() => void) | undefined): void {
  const since = cameBack.value
  const seen = useRef(since)
  useEffect(() => {
    if (since !== seen.current) onRetry?.()
    seen.current = since
  }, [since])
  useEffect(() => {
    if (onRetry === undefined || !asksByItself(fault)) return
    const { progress, retryAfterSeconds = RETRY_SECONDS } = fault.detail
    const timer = setTimeout(onRetry, (progress ? PROGRESS_SECONDS : retryAfterSeconds) * 1000)
    return () => clearTimeout(timer)
  }, [fault])
}
