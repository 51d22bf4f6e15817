// The same bytes, or the same text, in pieces: whole, one by one, and cut at random places that repeat themselves.

/** A small generator with a seed (mulberry32), so that a failure can be repeated. */
export function seeded(seed) {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296;
  };
}

/** `[name, pieces]` for each way of cutting. */
export function cuts(whole, rounds = 8) {
  const ways = [
    ["whole", [whole]],
    ["one by one", Array.from({ length: whole.length }, (_, at) => whole.slice(at, at + 1))],
  ];
  for (let seed = 1; seed <= rounds; seed += 1) {
    const random = seeded(seed);
    const pieces = [];
    for (let at = 0; at < whole.length; ) {
      const size = Math.floor(random() * 7);
      pieces.push(whole.slice(at, at + size));
      at += size;
    }
    ways.push([`cut at random, seed ${seed}`, pieces]);
  }
  return ways;
}
