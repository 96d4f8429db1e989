import type { RefObject } from 'preact'
import { useLayoutEffect, useState } from 'preact/hooks'

/** Inner height of an element, in pixels, as it changes. */
export function useHeight(element: RefObject<HTMLElement | null>): number {
  const [height, setHeight] = useState(0)
  useLayoutEffect(() => {
    const watched = element.current
    if (!watched) return
    const observer = new ResizeObserver(() => setHeight(watched.clientHeight))
    observer.observe(watched)
    setHeight(watched.clientHeight)
    return () => observer.disconnect()
  }, [element])
  return height
}
