/**
 * A grammar of short film reviews in which every valence word has one known value.
 *
 * The true score of a review is the sum of its valences, in points, an integer:
 *   a mild word counts ±2 (`clever`, `thin`), a strong one ±3 (`superb`, `awful`);
 *   an intensifier directly before it takes the magnitude up by 1 (`very clever` +3, `truly awful` -4);
 *   a hedge directly before it takes the magnitude down by 1 (`rather thin` -1);
 *   a negator directly before it takes the magnitude down by 1 and turns the sign (`not clever` -1, `never stale` +1).
 * All other words, prompts included, count 0. A review has two to four sentences of at most two valences each, so a
 * score lies in -32..32 by construction; `card.md` says where the scores that ship lie.
 *
 * The generator adds up the points of the clauses it builds. `score.ts` reads the points back from the text alone.
 *
 * A completion begins with a space and a word, a prompt ends with a colon, and inside a text a word follows either one
 * space or an opening quote. The tokenizer keeps the space with its word, so no token spans prompt and completion.
 */
import { uniformInt } from 'pure-rand/distribution/uniformInt';
import type { RandomGenerator } from 'pure-rand/types/RandomGenerator';

export type Rng = RandomGenerator;
type Sign = 1 | -1;

/** A sentence, or a part of one, with the points it carries. */
interface Scored {
  readonly text: string;
  readonly score: number;
}

export interface Prompt {
  readonly text: string;
  readonly genre: string;
  readonly director: string;
}

export const pick = <T>(rng: Rng, items: readonly T[]): T => items[uniformInt(rng, 0, items.length - 1)]!;
export const chance = (rng: Rng, probability: number): boolean => uniformInt(rng, 0, 999) < probability * 1000;

// Prompts

const titleFirsts =
  'Silent Northern Paper Golden Broken Hidden Distant Burning Crimson Winter Midnight Stolen Frozen Secret Velvet Iron Glass Borrowed Marble Salt Electric Wild Amber Silver'.split(
    ' ',
  );
const titleSeconds =
  'Lights River Moon Harbour Garden Letters Road Island Mirror Bridge Station Window Forest Kingdom Summer Valley Orchard Signal Tide Ladder Promise Lantern Horizon Shore'.split(
    ' ',
  );
const genres = 'thriller comedy drama romance western musical mystery adventure'.split(' ');
const firstNames = 'Anna Marco Lena David Sofia Peter Nadia Oscar Mira Julian Clara Hugo'.split(' ');
const surnames = 'Keller Rossi Berg Novak Tanaka Moreau Silva Hansen Okafor Lindgren Costa Petrov'.split(' ');

const article = (word: string): string => (/^[aeiou]/.test(word) ? 'an' : 'a');
const withArticle = (words: string): string => `${article(words)} ${words}`;

const promptForms: readonly ((title: string, genre: string, director: string) => string)[] = [
  (title, genre, director) => `Review of the ${genre} ${title} by ${director}:`,
  (title, genre, director) => `My review of ${title}, ${withArticle(genre)} by ${director}:`,
  (title, genre, director) => `What I thought of ${title}, the new ${genre} by ${director}:`,
  (title, genre, director) => `Notes on ${title}, ${withArticle(genre)} directed by ${director}:`,
  (title, genre, director) => `A short review of ${director} and the ${genre} ${title}:`,
  (title, genre, director) => `Last night at the cinema: ${title}, ${withArticle(genre)} by ${director}:`,
];

export function makePrompt(rng: Rng): Prompt {
  const title = `"${pick(rng, titleFirsts)} ${pick(rng, titleSeconds)}"`;
  const genre = pick(rng, genres);
  const director = pick(rng, surnames);
  return { text: pick(rng, promptForms)(title, genre, `${pick(rng, firstNames)} ${director}`), genre, director };
}

// Words with a value

interface Valued {
  readonly word: string;
  readonly value: number;
}

const values = (value: number, words: string): readonly Valued[] => words.split(' ').map((word) => ({ word, value }));

/** Both forms of a verb, what follows it, and its points. */
interface Verb {
  readonly singular: string;
  readonly plural: string;
  readonly rest: string;
  readonly value: number;
}

const verb = (value: number, singular: string, plural: string, rest = ''): Verb => ({ singular, plural, rest, value });

interface Polarity {
  readonly adjectives: readonly Valued[];
  readonly verbs: readonly Verb[];
}

interface Subject {
  readonly noun: string;
  readonly number: 'count' | 'mass' | 'plural';
}

interface Aspect {
  readonly subjects: readonly Subject[];
  readonly praise: Polarity;
  readonly pan: Polarity;
}

const subjects = (number: Subject['number'], words: string): readonly Subject[] =>
  words.split(',').map((noun) => ({ noun, number }));

const praiseAnything: Polarity = {
  adjectives: [...values(2, 'good solid strong'), ...values(3, 'superb excellent wonderful brilliant')],
  verbs: [verb(2, 'works', 'work'), verb(2, 'impresses', 'impress')],
};
const panAnything: Polarity = {
  adjectives: [...values(-2, 'weak poor bland'), ...values(-3, 'terrible awful dreadful hopeless')],
  verbs: [verb(-2, 'fails', 'fail'), verb(-2, 'disappoints', 'disappoint')],
};

/** `mild` and `strong` are the aspect's own adjectives; each aspect also takes those that fit anything. */
function aspect(
  these: readonly Subject[],
  praise: { mild: string; strong: string; verbs: readonly Verb[] },
  pan: { mild: string; strong: string; verbs: readonly Verb[] },
): Aspect {
  return {
    subjects: these,
    praise: {
      adjectives: [...values(2, praise.mild), ...values(3, praise.strong), ...praiseAnything.adjectives],
      verbs: [...praise.verbs, ...praiseAnything.verbs],
    },
    pan: {
      adjectives: [...values(-2, pan.mild), ...values(-3, pan.strong), ...panAnything.adjectives],
      verbs: [...pan.verbs, ...panAnything.verbs],
    },
  };
}

const aspects: readonly Aspect[] = [
  aspect(
    [...subjects('mass', 'acting'), ...subjects('count', 'cast,lead'), ...subjects('plural', 'performances')],
    {
      mild: 'convincing natural charming',
      strong: 'magnetic',
      verbs: [verb(3, 'shines', 'shine', 'in every scene'), verb(2, 'carries', 'carry', 'the film')],
    },
    {
      mild: 'wooden stiff clumsy',
      strong: 'lifeless',
      verbs: [verb(-2, 'struggles', 'struggle', 'with the material'), verb(-2, 'lacks', 'lack', 'feeling')],
    },
  ),
  aspect(
    [...subjects('count', 'plot,story,script')],
    {
      mild: 'clever original inventive',
      strong: 'gripping',
      verbs: [verb(2, 'holds', 'hold', 'together to the end'), verb(2, 'surprises', 'surprise', 'at every turn')],
    },
    {
      mild: 'thin predictable silly',
      strong: 'senseless',
      verbs: [verb(-2, 'falls', 'fall', 'apart after an hour'), verb(-2, 'wanders', 'wander', 'without aim')],
    },
  ),
  aspect(
    [...subjects('mass', 'music'), ...subjects('count', 'score,soundtrack'), ...subjects('plural', 'songs')],
    {
      mild: 'beautiful haunting moving',
      strong: 'glorious',
      verbs: [verb(2, 'lifts', 'lift', 'every scene'), verb(3, 'soars', 'soar')],
    },
    {
      mild: 'forgettable shrill intrusive',
      strong: 'unbearable',
      verbs: [verb(-2, 'grates', 'grate', 'on the ears'), verb(-3, 'drowns', 'drown', 'the quiet moments')],
    },
  ),
  aspect(
    [...subjects('mass', 'photography,lighting'), ...subjects('plural', 'images')],
    {
      mild: 'elegant striking beautiful',
      strong: 'breathtaking',
      verbs: [verb(2, 'captures', 'capture', 'every mood'), verb(3, 'dazzles', 'dazzle', 'from start to finish')],
    },
    {
      mild: 'murky ugly careless',
      strong: 'hideous',
      verbs: [verb(-2, 'distracts', 'distract', 'from the people'), verb(-2, 'tires', 'tire', 'the eye')],
    },
  ),
  aspect(
    [...subjects('mass', 'pacing,editing'), ...subjects('count', 'rhythm')],
    {
      mild: 'brisk sharp confident',
      strong: 'flawless',
      verbs: [verb(2, 'flows', 'flow', 'from scene to scene')],
    },
    {
      mild: 'slow sluggish uneven',
      strong: 'deadly',
      verbs: [verb(-2, 'drags', 'drag', 'in the middle'), verb(-3, 'stalls', 'stall', 'in the second half')],
    },
  ),
  aspect(
    [...subjects('count', 'ending,finale'), ...subjects('plural', 'last minutes')],
    {
      mild: 'satisfying touching bold',
      strong: 'unforgettable',
      verbs: [verb(2, 'lingers', 'linger', 'in the mind'), verb(2, 'pays', 'pay', 'off')],
    },
    {
      mild: 'rushed abrupt hollow',
      strong: 'laughable',
      verbs: [verb(-3, 'ruins', 'ruin', 'the film'), verb(-3, 'collapses', 'collapse')],
    },
  ),
  aspect(
    [...subjects('mass', 'dialogue'), ...subjects('plural', 'lines,jokes')],
    {
      mild: 'witty funny fresh',
      strong: 'hilarious',
      verbs: [verb(3, 'sparkles', 'sparkle'), verb(2, 'rings', 'ring', 'true')],
    },
    {
      mild: 'stale awkward lame',
      strong: 'painful',
      verbs: [verb(-2, 'creaks', 'creak'), verb(-2, 'bores', 'bore', 'everyone')],
    },
  ),
  aspect(
    [...subjects('mass', 'direction'), ...subjects('count', 'style')],
    { mild: 'confident sensitive bold', strong: 'masterful', verbs: [verb(2, 'convinces', 'convince')] },
    { mild: 'lazy timid heavy', strong: 'incompetent', verbs: [verb(-2, 'misfires', 'misfire')] },
  ),
  aspect(
    [...subjects('plural', 'sets,costumes,effects')],
    {
      mild: 'lavish lovely impressive',
      strong: 'stunning',
      verbs: [verb(2, 'enchants', 'enchant', 'the eye'), verb(3, 'amazes', 'amaze')],
    },
    {
      mild: 'cheap drab crude',
      strong: 'hideous',
      verbs: [verb(-2, 'distracts', 'distract', 'from the story'), verb(-3, 'embarrasses', 'embarrass', 'the film')],
    },
  ),
  aspect(
    [...subjects('count', 'hero,villain'), ...subjects('plural', 'characters')],
    {
      mild: 'believable memorable likeable',
      strong: 'irresistible',
      verbs: [verb(2, 'wins', 'win', 'you over'), verb(2, 'fascinates', 'fascinate')],
    },
    {
      mild: 'shallow annoying stale',
      strong: 'insufferable',
      verbs: [verb(-2, 'irritates', 'irritate'), verb(-2, 'lacks', 'lack', 'depth')],
    },
  ),
];

const opinions = {
  praise: [...values(2, 'liked enjoyed admired'), ...values(3, 'loved adored')],
  pan: [...values(-2, 'disliked resented'), ...values(-3, 'hated despised')],
};
const feelings = {
  praise: [...values(2, 'moved amused thrilled'), ...values(3, 'delighted')],
  pan: [...values(-2, 'bored irritated disappointed'), ...values(-3, 'disgusted')],
};
const verdictNouns = {
  praise: [...values(2, 'success treat pleasure'), ...values(3, 'triumph masterpiece')],
  pan: [...values(-2, 'failure letdown chore'), ...values(-3, 'disaster mess')],
};
const verdictAdjectives = {
  praise: [...values(2, 'enjoyable rewarding clever'), ...values(3, 'superb wonderful')],
  pan: [...values(-2, 'tiresome forgettable silly'), ...values(-3, 'dreadful awful')],
};
const worth: Valued = { word: 'worth', value: 2 };
const wastes: Valued = { word: 'wastes', value: -2 };
const recommend: Valued = { word: 'recommend', value: 3 };
const avoid: Valued = { word: 'avoid', value: -3 };

const intensifiers = { mild: ['very', 'really'], strong: ['truly', 'simply'] };
const hedges = ['rather', 'fairly', 'somewhat'];
const negators = ['not', 'never', 'hardly'];

/** What a modifier directly before a valence word does to its points. */
export const modifiers: ReadonlyMap<string, (points: number) => number> = new Map([
  ...[...intensifiers.mild, ...intensifiers.strong, 'deeply'].map(
    (word) => [word, (points: number) => points + Math.sign(points)] as const,
  ),
  ...hedges.map((word) => [word, (points: number) => points - Math.sign(points)] as const),
  ...negators.map((word) => [word, (points: number) => Math.sign(points) - points] as const),
]);

/** The points of every valence word, lower case. Throws if a word was given two values. */
export const valences: ReadonlyMap<string, number> = collectValences();

function collectValences(): Map<string, number> {
  const found = new Map<string, number>();
  const add = (word: string, value: number): void => {
    const before = found.get(word);
    if (before !== undefined && before !== value) throw new Error(`\`${word}\` counts both ${before} and ${value}`);
    found.set(word, value);
  };
  for (const { praise, pan } of aspects) {
    for (const polarity of [praise, pan]) {
      for (const { word, value } of polarity.adjectives) add(word, value);
      for (const { singular, plural, value } of polarity.verbs) {
        add(singular, value);
        add(plural, value);
      }
    }
  }
  for (const table of [opinions, feelings, verdictNouns, verdictAdjectives]) {
    for (const { word, value } of [...table.praise, ...table.pan]) add(word, value);
  }
  for (const { word, value } of [worth, wastes, recommend, avoid]) add(word, value);
  return found;
}

// Clauses

const modified = (modifier: string, { word, value }: Valued): Scored => ({
  text: `${modifier} ${word}`,
  score: modifiers.get(modifier)!(value),
});

const plainly = ({ word, value }: Valued): Scored => ({ text: word, score: value });

const bySign = <T>(table: { praise: T; pan: T }, sign: Sign): T => (sign > 0 ? table.praise : table.pan);

/** An adjective of the wanted sign, now and then intensified or hedged; negated only where a verb stands before it. */
function adjective(rng: Rng, table: { praise: Polarity; pan: Polarity }, sign: Sign, negatable: boolean): Scored {
  if (negatable && chance(rng, 0.08)) {
    const mild = bySign(table, sign > 0 ? -1 : 1).adjectives.filter(({ value }) => Math.abs(value) === 2);
    return modified(pick(rng, negators), pick(rng, mild));
  }
  const plain = pick(rng, bySign(table, sign).adjectives);
  const mild = Math.abs(plain.value) === 2;
  if (chance(rng, 0.22)) return modified(pick(rng, mild ? intensifiers.mild : intensifiers.strong), plain);
  if (mild && chance(rng, 0.15)) return modified(pick(rng, hedges), plain);
  return plainly(plain);
}

const isOrAre = ({ number }: Subject): string => (number === 'plural' ? 'are' : 'is');

/** `the plot is clever`, `the jokes fail`: one valence. */
function clause(rng: Rng, about: Aspect, sign: Sign): Scored {
  const subject = pick(rng, about.subjects);
  if (chance(rng, 0.35)) {
    const { singular, plural, rest, value } = pick(rng, bySign(about, sign).verbs);
    const words = [`the ${subject.noun}`, subject.number === 'plural' ? plural : singular, rest];
    return { text: words.filter((part) => part !== '').join(' '), score: value };
  }
  const { text, score } = adjective(rng, about, sign, true);
  return { text: `the ${subject.noun} ${isOrAre(subject)} ${text}`, score };
}

/** `a clever plot`, `superb music`: one valence, as an object. */
function attributive(rng: Rng, about: Aspect, sign: Sign): Scored {
  const subject = pick(rng, about.subjects);
  const { text, score } = adjective(rng, about, sign, false);
  const phrase = `${text} ${subject.noun}`;
  return { text: subject.number === 'count' ? withArticle(phrase) : phrase, score };
}

/** `I loved the music`: one valence. */
function opinion(rng: Rng, about: Aspect, sign: Sign): Scored {
  const { word, value } = pick(rng, bySign(opinions, sign));
  return { text: `I ${word} the ${pick(rng, about.subjects).noun}`, score: value };
}

// Sentences, without capital and full stop

type Sentence = (rng: Rng, first: Aspect, second: Aspect, firstSign: Sign, secondSign: Sign) => Scored;

const join = (template: string, ...parts: readonly Scored[]): Scored => ({
  text: parts.reduce((text, part, index) => text.replace(`{${index}}`, part.text), template),
  score: parts.reduce((sum, part) => sum + part.score, 0),
});

const openings = ['for me', 'to be fair', 'in my opinion', 'as so often', 'this time'];
const things = ['the film', 'it', 'this film'];

const oneValence: readonly Sentence[] = [
  (rng, a, _, s) => clause(rng, a, s),
  (rng, a, _, s) => clause(rng, a, s),
  (rng, a, _, s) => join(`${pick(rng, openings)}, {0}`, clause(rng, a, s)),
  (rng, a, _, s) => opinion(rng, a, s),
  (rng, a, _, s) => join(`${pick(rng, things)} has {0}`, attributive(rng, a, s)),
  (rng, a, _, s) => join(`there is no doubt that {0}`, clause(rng, a, s)),
];

const twoAlike: readonly Sentence[] = [
  (rng, a, b, s, t) => join('{0}, and {1}', clause(rng, a, s), clause(rng, b, t)),
  (rng, a, b, s, t) => twoOpinions(rng, a, b, s, t),
  (rng, a, b, s, t) => join(`${pick(rng, things)} has {0} and {1}`, attributive(rng, a, s), attributive(rng, b, t)),
  (rng, a, _, s, t) => sameSubject(rng, a, s, t, ' and '),
];

const twoOpposed: readonly Sentence[] = [
  (rng, a, b, s, t) => join(`{0}, ${pick(rng, ['but', 'yet'])} {1}`, clause(rng, a, s), clause(rng, b, t)),
  (rng, a, b, s, t) => join(`${pick(rng, ['although', 'while'])} {0}, {1}`, clause(rng, a, s), clause(rng, b, t)),
  (rng, a, b, s, t) => join('{0}, but {1}', opinion(rng, a, s), opinion(rng, b, t)),
  (rng, a, b, s, t) => join(`${pick(rng, things)} has {0} but {1}`, attributive(rng, a, s), attributive(rng, b, t)),
  (rng, a, _, s, t) => sameSubject(rng, ownMild(a), s, t, ' but '),
];

/** `I liked the music, and I loved the ending`: two different words. */
function twoOpinions(rng: Rng, a: Aspect, b: Aspect, s: Sign, t: Sign): Scored {
  const verbOf = ({ text }: Scored): string => text.split(' ')[1]!;
  const one = opinion(rng, a, s);
  let two = opinion(rng, b, t);
  while (verbOf(two) === verbOf(one)) two = opinion(rng, b, t);
  return join('{0}, and {1}', one, two);
}

/** `the plot is clever but predictable`: two valences of one aspect, two different words. */
function sameSubject(rng: Rng, about: Aspect, s: Sign, t: Sign, link: string): Scored {
  const subject = pick(rng, about.subjects);
  const one = adjective(rng, about, s, false);
  let two = adjective(rng, about, t, false);
  while (lastWord(two.text) === lastWord(one.text)) two = adjective(rng, about, t, false);
  return join(`the ${subject.noun} ${isOrAre(subject)} {0}${link}{1}`, one, two);
}

/** The aspect with its own mild adjectives alone: `slow but confident` can be meant, `poor but excellent` can not. */
function ownMild({ subjects, praise, pan }: Aspect): Aspect {
  const narrow = ({ adjectives, verbs }: Polarity, anything: Polarity): Polarity => ({
    adjectives: adjectives.filter(({ word, value }) => {
      return Math.abs(value) === 2 && !anything.adjectives.some((other) => other.word === word);
    }),
    verbs,
  });
  return { subjects, praise: narrow(praise, praiseAnything), pan: narrow(pan, panAnything) };
}

const lastWord = (text: string): string => text.slice(text.lastIndexOf(' ') + 1);

const feltAdverbs = ['deeply', 'really', ...hedges];

const hours = ['your time', 'an evening', 'a free hour', 'your money'];

type Verdict = (rng: Rng, sign: Sign, prompt: Prompt) => Scored;

const summaries = ['overall', 'in short', 'all in all', 'in the end'];

const verdicts: readonly Verdict[] = [
  (rng, sign, { genre }) => {
    const { word, value } = pick(rng, bySign(verdictNouns, sign));
    const what = pick(rng, ['it', 'the film', `this ${genre}`]);
    return { text: `${pick(rng, summaries)}, ${what} is ${withArticle(word)}`, score: value };
  },
  (rng, sign, { genre }) => {
    const plain = pick(rng, bySign(verdictAdjectives, sign));
    const strong = Math.abs(plain.value) === 3;
    const { text, score } = chance(rng, 0.3)
      ? modified(pick(rng, strong ? intensifiers.strong : intensifiers.mild), plain)
      : plainly(plain);
    return { text: `${pick(rng, summaries)}, it is ${withArticle(text)} ${genre}`, score };
  },
  (rng, sign) => {
    const plain = pick(rng, bySign(feelings, sign));
    const adverb = Math.abs(plain.value) === 2 && chance(rng, 0.3);
    const { text, score } = adverb ? modified(pick(rng, feltAdverbs), plain) : plainly(plain);
    return { text: `I left the cinema ${text}`, score };
  },
  (rng, sign) => {
    if (sign < 0 && chance(rng, 0.6)) return { text: `it ${wastes.word} ${pick(rng, hours)}`, score: wastes.value };
    const { text, score } = sign > 0 ? plainly(worth) : modified(pick(rng, ['not', 'hardly']), worth);
    return { text: `it is ${text} ${pick(rng, hours)}`, score };
  },
  (rng, sign) => {
    const said = sign > 0 ? plainly(recommend) : chance(rng, 0.5) ? plainly(avoid) : modified('not', recommend);
    const whom = said.text === avoid.word ? '' : ` ${pick(rng, ['to anyone', 'to my friends', 'to you'])}`;
    return { text: `I would ${said.text} it${whom}`, score: said.score };
  },
];

// Sentences without a valence

type Neutral = (rng: Rng, prompt: Prompt) => string;

const people = ['doctor', 'teacher', 'soldier', 'painter', 'detective', 'singer', 'farmer', 'student'];
const ages = ['young', 'old', 'retired', 'lonely'];
const deeds = ['returns to', 'leaves', 'moves to', 'hides in', 'gets lost in'];
const places = ['a small town', 'a big city', 'the mountains', 'a village by the sea', 'a house in the woods'];
const times = ['in winter', 'in the summer', 'during the war', 'over one night', 'over many years'];
const counts = ['two', 'three', 'four', 'five'];

const neutrals: readonly Neutral[] = [
  (rng) => {
    const who = `${withArticle(pick(rng, ages))} ${pick(rng, people)}`;
    return `it tells of ${who} who ${pick(rng, deeds)} ${pick(rng, places)}`;
  },
  (rng) => `we follow ${withArticle(pick(rng, people))} and ${withArticle(pick(rng, people))} ${pick(rng, times)}`,
  (rng) => `most of it takes place in ${pick(rng, places)} ${pick(rng, times)}`,
  (rng) => `it runs for about ${pick(rng, counts)} hours`,
  (_, { director }) => `${director} also wrote the book`,
  (rng, { genre, director }) => `it is the ${pick(rng, ['first', 'second', 'third'])} ${genre} by ${director}`,
  (rng) => `I saw it ${pick(rng, ['alone', 'at home', 'with a friend', 'with my family'])} last week`,
];

// Reviews

const alikeLinks = ['also', 'moreover', 'in addition', 'what is more'];
const opposedLinks = ['however', 'still', 'on the other hand', 'then again'];

/** The chance that a clause praises. Two thirds of the reviews lean, none is without the chance of the other side. */
const moods = [0.06, 0.06, 0.25, 0.5, 0.75, 0.94, 0.94];

const sentenceCounts = [2, 2, 3, 3, 3, 4, 4];

function shuffled<T>(rng: Rng, items: readonly T[]): T[] {
  const result = [...items];
  for (let i = result.length - 1; i > 0; i--) {
    const j = uniformInt(rng, 0, i);
    [result[i], result[j]] = [result[j]!, result[i]!];
  }
  return result;
}

const asSentence = (text: string): string => `${text[0]!.toUpperCase()}${text.slice(1)}.`;

/** A completion for the prompt, leading space included, and its true score. */
export function makeReview(rng: Rng, prompt: Prompt): Scored {
  const mood = pick(rng, moods);
  const sign = (): Sign => (chance(rng, mood) ? 1 : -1);
  const count = pick(rng, sentenceCounts);
  const neutralAt = chance(rng, count === 2 ? 0.2 : 0.55) ? uniformInt(rng, 0, count - 2) : -1;
  const verdictAt = chance(rng, 0.5) ? count - 1 : -1;
  const todo = shuffled(rng, aspects);
  let score = 0;
  let before = 0;
  let text = '';
  for (let i = 0; i < count; i++) {
    if (i === neutralAt) {
      text += ` ${asSentence(pick(rng, neutrals)(rng, prompt))}`;
      before = 0;
      continue;
    }
    const said =
      i === verdictAt
        ? pick(rng, verdicts)(rng, verdictSign(rng, score), prompt)
        : aspectSentence(rng, todo.pop()!, todo.pop()!, sign(), sign());
    text += ` ${asSentence(i === verdictAt ? said.text : linked(rng, before, said))}`;
    score += said.score;
    before = said.score;
  }
  return { text, score };
}

/** The verdict goes with what was said; nothing said, or both sides alike, leaves it open. */
const verdictSign = (rng: Rng, score: number): Sign => {
  if (score === 0 || chance(rng, 0.05)) return chance(rng, 0.5) ? 1 : -1;
  return score > 0 ? 1 : -1;
};

function aspectSentence(rng: Rng, first: Aspect, second: Aspect, s: Sign, t: Sign): Scored {
  if (chance(rng, 0.45)) return pick(rng, oneValence)(rng, first, second, s, t);
  return pick(rng, s === t ? twoAlike : twoOpposed)(rng, first, second, s, t);
}

/** Now and then a connective, chosen by how the sentence stands to the one before it. */
function linked(rng: Rng, before: number, { text, score }: Scored): string {
  if (before === 0 || score === 0 || text.includes('although') || text.includes('while')) return text;
  if (openings.some((opening) => text.startsWith(opening)) || !chance(rng, 0.3)) return text;
  return `${pick(rng, Math.sign(before) === Math.sign(score) ? alikeLinks : opposedLinks)}, ${text}`;
}

/** A word with its space, or one other character: what the tokenizer takes as one token. */
export const piece = / ?[A-Za-z]+| ?[^A-Za-z\s]|\s/gu;

export const pieces = (text: string): readonly string[] => text.match(piece) ?? [];
