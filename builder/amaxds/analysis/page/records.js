// What the page shows, apart from how: the records, the search, and the address. Data comes as scripts, because a page that was
// opened from a disk may not fetch files: data.js at once, details/<recipe>-<layer>.js when an image of that layer is opened.
"use strict";

const DATA = window.GALLERY;
const DETAILS = (window.GALLERY_DETAILS = {});

// One image of one filter, as the tiles and the dialog use it.
function imagesOf(recipe, layer) {
  const columns = DATA.records[recipe][layer];
  return columns.filter.map((filter, place) => ({
    recipe,
    layer,
    filter,
    place,
    sprites: `${recipe}-${layer}`,
    status: columns.status[place],
    index: columns.uniformity_index[place],
    start: columns.activation_start[place],
    activation: columns.activation[place],
    rank: columns.activation_rank[place],
    columns,
  }));
}

const IMAGES = new Map(DATA.recipes.flatMap((recipe) => DATA.layers.map((layer) => [recipe + layer, imagesOf(recipe, layer)])));

const FILTERS = DATA.layers.flatMap((layer) => {
  const byFilter = new Map();
  for (const recipe of DATA.recipes) {
    for (const image of IMAGES.get(recipe + layer)) {
      if (!byFilter.has(image.filter)) byFilter.set(image.filter, { layer, filter: image.filter, images: [] });
      byFilter.get(image.filter).images.push(image);
    }
  }
  return [...byFilter.values()];
});

const findFilter = (layer, filter) => FILTERS.find((tile) => tile.layer === layer && tile.filter === filter);

const countDead = (images) => images.filter((image) => image.status === "dead").length;

// The recipe under which most filters are dead; undefined where none is.
const MOST_DEAD = DATA.recipes
  .map((recipe) => ({ recipe, dead: countDead(DATA.layers.flatMap((layer) => IMAGES.get(recipe + layer))) }))
  .filter((each) => each.dead)
  .sort((one, other) => other.dead - one.dead)[0]?.recipe;

// The filter that is shown first, large: of the deepest layer one that a recipe leaves dead and another wakes, if there is one,
// with the most colourful picture.
const FIRST = [...DATA.layers].reverse().reduce((found, layer) => {
  if (found.woken) return found;
  const colourful = (tile) => Math.min(...tile.images.filter((image) => image.status !== "dead").map((image) => image.index));
  const tiles = FILTERS.filter((tile) => tile.layer === layer).sort((one, other) => colourful(one) - colourful(other) || 0);
  const woken = tiles.find((tile) => tile.images.length > 1 && [0, tile.images.length].every((dead) => countDead(tile.images) !== dead));
  return woken ? { tile: woken, woken: true } : { tile: found.tile ?? tiles[0], woken: false };
}, {}).tile;

// A layer's part of the strip: how many filters, the share of dead ones in percent and in words, and where its picture is.
const STRIP = DATA.layers.map((layer, place) => {
  const images = IMAGES.get((MOST_DEAD ?? DATA.recipes[0]) + layer);
  const filters = images.length;
  const dead = countDead(images);
  const percent = Math.round((100 * dead) / filters);
  const rounded = percent === 0 ? "under 1 % dead" : `${percent === 100 ? "over 99" : percent} % dead`;
  const said = dead === 0 ? "none dead" : dead === filters ? "100 % dead" : rounded;
  return { layer, place, sprites: "strip", filters, dead: percent, said };
});

// The search takes what --layers takes, what --filters takes, or both with a slash between: `block5_*/0-15,40`. A name without
// wildcards that is no layer's may also be a part of one: `conv3/12`.
function matcher(search) {
  const [, names, filters] = /^(?:(.*)\/)?([\d\s,-]*)$/.exec(search) ?? [null, search, ""];
  const ranges = filters.split(",").filter((part) => part.trim()).map((part) => /^\s*(\d+)\s*(?:-\s*(\d+)\s*)?$/.exec(part));
  const inLayer = names?.trim() ? layerMatcher(names) : () => true;
  const inRanges = (filter) => ranges.some((range) => range && filter >= Number(range[1]) && filter <= Number(range[2] ?? range[1]));
  return (tile) => inLayer(tile.layer) && (!ranges.length || inRanges(tile.filter));
}

function layerMatcher(names) {
  const patterns = names.split(",").map((name) => name.trim()).filter(Boolean).map((name) => {
    if (/[*?[]/.test(name)) return asPattern(name);
    return DATA.layers.includes(name) ? { test: (layer) => layer === name } : { test: (layer) => layer.includes(name) };
  });
  return (layer) => patterns.some((pattern) => pattern.test(layer));
}

// A shell pattern (*, ?, [abc], [!abc]) as an expression for whole names.
function asPattern(name) {
  const parts = name.match(/\[!?\]?[^\]]*\]|[^]/g).map((part) => {
    if (part === "*") return ".*";
    if (part === "?") return ".";
    if (part.length > 1) return `[${part.slice(1, -1).replace(/^!/, "^").replace(/[\\[\]]/g, "\\$&")}]`;
    return part.replace(/[\\^$.*+?()[\]{}|]/, "\\$&");
  });
  try {
    return new RegExp(`^${parts.join("")}$`);
  } catch {
    return { test: () => false }; // such as [z-a], which names no letter
  }
}

// The address after #: a layer, a slash and a filter where one is open, and what is chosen: `block5_conv3/5?sort=index`.
function readAddress() {
  const [, place, query] = /^#?([^?]*)\??(.*)$/.exec(location.hash);
  const [, layer, filter] = /^(.*?)(?:\/(\d+))?$/.exec(decode(place));
  return { layer, filter: filter === undefined ? null : Number(filter), chosen: Object.fromEntries(new URLSearchParams(query)) };
}

function writeAddress(layer, filter, chosen) {
  const query = new URLSearchParams(chosen).toString();
  const place = layer ? encodeURIComponent(layer) + (filter === null ? "" : `/${filter}`) : "";
  return place || query ? `#${place}${query && "?"}${query}` : location.pathname + location.search;
}

function decode(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

const ordinal = (number) => {
  const ending = { 1: "st", 2: "nd", 3: "rd" }[number % 100 > 10 && number % 100 < 14 ? 0 : number % 10];
  return `${number}${ending ?? "th"}`;
};

// The activation of an image, and that of its start where it is known.
const risen = (image) => short(image.activation) + (image.start === null ? "" : `, from ${short(image.start)}`);

const short = (number) => (Math.abs(number) >= 1 || number === 0 ? number.toFixed(1) : number.toPrecision(2));
