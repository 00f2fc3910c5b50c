// The gallery: every image by layer, to sort, search and open. Data comes as scripts, because a page that was opened from a
// disk may not fetch files: data.js at once, details/<recipe>-<layer>.js when an image of that layer is opened.
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
    status: columns.status[place],
    index: columns.uniformity_index[place],
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

// The search: a filter, a range of them, or part of a layer's name, a slash, and either of the two.
function matcher(search) {
  const [, name, first, last] = /^(?:(.*)\/)?(?:(\d+)(?:-(\d+))?)?$/.exec(search) ?? [null, search];
  return (tile) =>
    (!name || tile.layer.includes(name)) &&
    (first === undefined || (tile.filter >= Number(first) && tile.filter <= Number(last ?? first)));
}

// A picture is fetched once its tile comes near the window.
const sprites = new IntersectionObserver(
  (entries) => {
    for (const { target, isIntersecting } of entries) {
      if (isIntersecting) {
        target.style.backgroundImage = `url("${target.dataset.sprite}")`;
        sprites.unobserve(target);
      }
    }
  },
  { rootMargin: "600px" },
);

function showSprite(element, { value: image }) {
  const { columns, rows, tiles } = DATA.sprites;
  const [sheet, place] = [Math.floor(image.place / tiles), image.place % tiles];
  const sprite = `gallery/sprites/${image.recipe}-${image.layer}-${sheet}.jpg`;
  element.style.backgroundSize = `${columns * 100}% ${rows * 100}%`;
  element.style.backgroundPosition =
    `${((place % columns) / (columns - 1)) * 100}% ${(Math.floor(place / columns) / (rows - 1)) * 100}%`;
  if (element.dataset.sprite !== sprite) {
    element.dataset.sprite = sprite;
    element.style.backgroundImage = "";
    sprites.observe(element);
  }
}

Vue.createApp({
  data: () => ({
    data: Vue.markRaw(DATA),
    search: "",
    layer: "",
    status: "",
    sort: "filter",
    descending: false,
    recipes: [...DATA.recipes],
    size: 96,
    chosen: null,
    details: {},
    sorts: [
      { column: "filter", title: "filter" },
      { column: "index", title: "uniformity index" },
      { column: "activation", title: "activation" },
      { column: "rank", title: "rank by own filter" },
    ],
  }),
  computed: {
    sections() {
      const matches = matcher(this.search);
      const tiles = FILTERS.filter((tile) => (!this.layer || tile.layer === this.layer) && matches(tile))
        .map((tile) => ({ ...tile, images: tile.images.filter((image) => this.recipes.includes(image.recipe)) }))
        .filter((tile) => tile.images.some((image) => !this.status || image.status === this.status));
      const sign = this.descending ? -1 : 1;
      const key = (tile) => tile.images[0][this.sort] ?? Infinity;
      tiles.sort((one, other) => sign * (key(one) - key(other)) || one.filter - other.filter);
      const byLayer = Map.groupBy(tiles, (tile) => tile.layer);
      return DATA.layers.filter((layer) => byLayer.has(layer)).map((layer) => ({ layer, tiles: Vue.markRaw(byLayer.get(layer)) }));
    },
    shown() {
      return this.sections.reduce((sum, section) => sum + section.tiles.length, 0);
    },
    frame() {
      return { width: `${this.size}px`, height: `${this.size}px` };
    },
    someDead: () => FILTERS.some((tile) => tile.images.some((image) => image.status === "dead")),
    small: () => ({ width: "72px", height: "72px" }),
  },
  methods: {
    reset() {
      Object.assign(this, { search: "", layer: "", status: "", recipes: [...DATA.recipes] });
    },
    heightOf(tiles) {
      const width = this.size * Math.max(this.recipes.length, 1) + 10;
      return Math.ceil(tiles / Math.max(1, Math.floor((window.innerWidth - 32) / width))) * (this.size + 10) + 48;
    },
    deadIn(section) {
      const counts = this.recipes.map((recipe) => {
        const dead = section.tiles.filter((tile) => tile.images.some((image) => image.recipe === recipe && image.status === "dead"));
        return dead.length ? `, ${dead.length} dead under ${recipe}` : "";
      });
      return counts.join("");
    },
    describe(tile) {
      return `${tile.layer} filter ${tile.filter}` + (tile.images.some((image) => image.status === "dead") ? ", dead" : "");
    },
    pathOf: (image) => `images/${image.recipe}/${image.layer}/filter-${image.filter}.png`,
    open(tile) {
      this.chosen = tile;
      this.details = {};
      for (const image of tile.images) this.load(image);
      if (!this.$refs.dialog.open) this.$refs.dialog.showModal();
    },
    load(image) {
      const name = `${image.recipe}-${image.layer}`;
      const show = () => (this.details = { ...this.details, [image.recipe]: DETAILS[name] });
      if (DETAILS[name]) return show();
      const script = document.createElement("script");
      Object.assign(script, { src: `gallery/details/${name}.js`, onload: show });
      document.head.append(script);
    },
    histogram(image) {
      const counts = this.details[image.recipe].histograms[image.place];
      const most = Math.max(...counts.flat(), 1);
      const line = (bins) => bins.map((count, bin) => `${bin},${(39 - (38 * count) / most).toFixed(1)}`).join(" ");
      return { red: line(counts[0]), green: line(counts[1]), blue: line(counts[2]) };
    },
    record(image) {
      const entries = Object.entries(image.columns).map(([name, values]) => [name, values[image.place]]);
      const sha = this.details[image.recipe]?.pixels_sha256[image.place];
      return [...entries, ["pixels_sha256", sha ?? "…"]].map(([name, value]) => [
        name,
        value === null ? "not known" : typeof value === "number" && !Number.isInteger(value) ? value.toPrecision(5) : value,
      ]);
    },
    neighbours(image) {
      const found = this.details[image.recipe]?.neighbours?.[image.place] ?? [];
      return found.map(([layer, place]) => {
        const near = IMAGES.get(image.recipe + DATA.layers[layer])[place];
        return { ...near, tile: FILTERS.find((tile) => tile.layer === near.layer && tile.filter === near.filter) };
      });
    },
    // Arrow keys walk over the tiles of a layer, so that the tabulator goes from layer to layer.
    move(event) {
      const tiles = [...event.currentTarget.querySelectorAll(".tile")];
      const place = tiles.indexOf(document.activeElement);
      const inRow = tiles.filter((tile) => tile.offsetTop === tiles[0].offsetTop).length;
      const steps = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: inRow, ArrowUp: -inRow, Home: -place, End: tiles.length - 1 - place };
      const next = tiles[place + steps[event.key]];
      if (place < 0 || !next) return;
      event.preventDefault();
      tiles[place].tabIndex = -1;
      next.tabIndex = 0;
      next.focus();
    },
    step(event) {
      const tiles = this.sections.flatMap((section) => section.tiles);
      const place = tiles.findIndex((tile) => tile.layer === this.chosen?.layer && tile.filter === this.chosen?.filter);
      const next = tiles[place + ({ ArrowRight: 1, ArrowLeft: -1 }[event.key] ?? NaN)];
      if (next) this.open(next);
    },
  },
  directives: { sprite: { mounted: showSprite, updated: showSprite } },
}).mount("#app");
