export const ROW_PIXELS = 22
/** Browsers end an element at 16,777,200 pixels; this stays well below. */
const SPACER_MOST = 8_000_000

/** How the position of a scroll bar and rows belong together. */
export interface ScrollMap {
  /** Height of what is scrolled. */
  readonly spacer: number
  /** Whether a pixel of the scroll bar is more than a pixel of rows. */
  readonly isCoarse: boolean
  /** The row at the top of the view, with its fraction. */
  rowAt(scrollTop: number): number
  scrollTopOf(row: number): number
  /** The last row that may stand at the top. */
  readonly lastTop: number
}

export function createScrollMap(rows: number, viewPixels: number): ScrollMap {
  const whole = rows * ROW_PIXELS
  const spacer = Math.min(whole, SPACER_MOST)
  const lastTop = Math.max(0, rows - viewPixels / ROW_PIXELS)
  const range = Math.max(1, spacer - viewPixels)
  const isCoarse = whole > spacer
  const clamp = (row: number) => Math.min(Math.max(row, 0), lastTop)
  return {
    spacer,
    isCoarse,
    lastTop,
    rowAt: (scrollTop) => clamp(isCoarse ? (scrollTop / range) * lastTop : scrollTop / ROW_PIXELS),
    scrollTopOf: (row) => (isCoarse ? (lastTop === 0 ? 0 : (clamp(row) / lastTop) * range) : clamp(row) * ROW_PIXELS),
  }
}
