import { describeLargeState } from './large-state.ts'

await describeLargeState('a state of 60 MB in the explorer', { items: 1_000_000, leastBytes: 55_000_000, scrolls: 200 })
