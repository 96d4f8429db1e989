/**
 * Gives each of them its turn, round by round; each round begins with another one, so that none is always first. The rounds below
 * zero only warm up.
 */
export async function takeTurns<One>(
  all: readonly One[],
  { rounds, warmUps }: { readonly rounds: number; readonly warmUps: number },
  turn: (one: One, round: number) => Promise<void>,
): Promise<void> {
  for (let round = -warmUps; round < rounds; round++) {
    for (let place = 0; place < all.length; place++) {
      await turn(all[(place + round + warmUps) % all.length] as One, round)
    }
  }
}
