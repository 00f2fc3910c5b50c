// The gallery: every image by layer, to sort, search and open.
"use strict";

const GAP = 12; // between tiles, in pixels; style.css has the same
const HEADING = 77; // height of a layer's heading, with the names of the recipes
const CHUNK = 96; // tiles that are laid out at one go where the layers are mixed

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
  const sprite = `gallery/sprites/${image.sprites}-${sheet}.jpg`;
  element.style.backgroundSize = `${columns * 100}% ${rows * 100}%`;
  element.style.backgroundPosition =
    `${((place % columns) / (columns - 1)) * 100}% ${(Math.floor(place / columns) / (rows - 1)) * 100}%`;
  if (element.dataset.sprite !== sprite) {
    element.dataset.sprite = sprite;
    element.style.backgroundImage = "";
    sprites.observe(element);
  }
}

const TITLE = document.title;
const ALL = { search: "", status: "", sort: "filter", descending: false, across: false };
const NO_RANGE = { indexFrom: "", indexTo: "", activationFrom: "", activationTo: "" };

Vue.createApp({
  data: () => ({
    data: Vue.markRaw(DATA),
    strip: Vue.markRaw(STRIP),
    first: Vue.markRaw(FIRST),
    mostDead: MOST_DEAD,
    ...ALL,
    range: { ...NO_RANGE },
    recipes: [...DATA.recipes],
    size: window.innerWidth < 700 ? 76 : 104,
    width: document.documentElement.clientWidth - 2 * 24,
    more: false,
    layer: "",
    chosen: null,
    copied: false,
    details: {},
    sorts: [
      { column: "filter", title: "filter" },
      { column: "index", title: "uniformity index" },
      { column: "activation", title: "activation" },
      { column: "rank", title: "place in its layer" },
    ],
    ranges: [
      { title: "Index", column: "index", from: "indexFrom", to: "indexTo" },
      { title: "Activation", column: "activation", from: "activationFrom", to: "activationTo" },
    ],
  }),
  computed: {
    found() {
      const [matches, suits, recipes, sort] = [matcher(this.search), this.suits, [...this.recipes], this.sort];
      const tiles = FILTERS.filter(matches)
        .map((tile) => ({ ...tile, images: tile.images.filter((image) => recipes.includes(image.recipe)) }))
        .filter((tile) => tile.images.some(suits));
      const sign = this.descending ? -1 : 1;
      const key = (tile) => tile.images[0][sort] ?? Infinity;
      return Vue.markRaw(tiles.sort((one, other) => sign * (key(one) - key(other)) || one.filter - other.filter));
    },
    // Whether an image has the status that is asked for, and values within the ranges.
    suits() {
      const asked = this.status;
      const number = (text, otherwise) => (text === "" ? otherwise : Number(text));
      const ranges = this.ranges
        .map(({ column, from, to }) => [column, number(this.range[from], -Infinity), number(this.range[to], Infinity)])
        .filter(([, least, most]) => least > -Infinity || most < Infinity);
      const within = (value, least, most) => value !== null && value >= least && value <= most;
      return (image) => (!asked || image.status === asked) && ranges.every(([column, least, most]) => within(image[column], least, most));
    },
    sections() {
      if (this.across) {
        const title = `All layers by ${this.sorts.find((each) => each.column === this.sort).title}`;
        return Array.from({ length: Math.ceil(this.found.length / CHUNK) }, (_, chunk) => ({
          key: `all-${chunk}`,
          title: chunk ? "" : title,
          note: this.counts(this.found),
          tiles: Vue.markRaw(this.found.slice(chunk * CHUNK, (chunk + 1) * CHUNK)),
        }));
      }
      const byLayer = Map.groupBy(this.found, (tile) => tile.layer);
      return DATA.layers.filter((layer) => byLayer.has(layer)).map((layer) => {
        const tiles = byLayer.get(layer);
        return { key: layer, title: layer, note: this.counts(tiles), tiles: Vue.markRaw(tiles) };
      });
    },
    // What the figures tell, as one line.
    captions() {
      const each = DATA.figures.map(({ caption }) => caption.split(", ")[0]);
      return [...new Set(each)].map((caption) => caption[0].toLowerCase() + caption.slice(1)).join(" · ");
    },
    shown() {
      return this.found.length;
    },
    columns() {
      return Math.max(1, Math.floor((this.width + GAP) / (this.size * Math.max(this.recipes.length, 1) + GAP)));
    },
    grid() {
      return { "--columns": this.columns };
    },
    // What is chosen, as far as it is not what one starts with: for the address.
    choice() {
      const chosen = Object.entries({ ...this.range, ...Object.fromEntries(Object.keys(ALL).map((name) => [name, this[name]])) });
      const changed = chosen.filter(([name, value]) => value !== "" && value !== ALL[name]);
      return Object.fromEntries([...changed, ...(this.recipes.length < DATA.recipes.length ? [["recipes", this.recipes.join(",")]] : [])]);
    },
  },
  watch: {
    choice() {
      history.replaceState(history.state, "", writeAddress(this.layer, this.chosen?.filter ?? null, this.choice));
    },
    chosen() {
      document.title = (this.chosen ? `${this.chosen.layer}/${this.chosen.filter} · ` : "") + TITLE;
    },
  },
  mounted() {
    new ResizeObserver(([main]) => (this.width = main.contentRect.width)).observe(this.$refs.main);
    window.addEventListener("resize", () => this.$refs.details?.querySelectorAll("img").forEach((target) => this.enlarge({ target })));
    // An entry without a state is an address that was typed or followed; the browser scrolls to where the others were left.
    window.addEventListener("popstate", (event) => this.follow(event.state === null));
    this.follow(history.state === null);
  },
  methods: {
    number: (value) => value.toLocaleString("en").replaceAll(",", "\u202f"),
    parts: (name) => name.split(/(?<=[_/])/), // where a name may be broken
    reset() {
      Object.assign(this, { ...ALL, range: { ...NO_RANGE }, recipes: [...DATA.recipes] });
    },
    heightOf({ tiles, title }) {
      const tile = ((this.width + GAP) / this.columns - GAP) / Math.max(this.recipes.length, 1);
      return Math.ceil(tiles.length / this.columns) * (tile + GAP) + (title ? HEADING : 0);
    },
    counts(tiles) {
      const dead = this.recipes.map((recipe) => [recipe, countDead(tiles.flatMap((tile) => tile.images.filter((image) => image.recipe === recipe)))]);
      const parts = dead.filter(([, count]) => count).map(([recipe, count]) => `${count} dead under ${recipe}`);
      return [`${this.number(tiles.length)} ${tiles.length === 1 ? "filter" : "filters"}`, ...parts].join(" · ");
    },
    describe(tile) {
      const dead = tile.images.filter((image) => image.status === "dead").map((image) => image.recipe);
      return `${tile.layer} filter ${tile.filter}` + (dead.length ? `, dead under ${dead.join(" and ")}` : "");
    },
    pathOf: (image) => `images/${image.recipe}/${image.layer}/filter-${image.filter}.png`,

    // The address: opening an image makes an entry of the history, so that going back closes it.
    follow(scroll) {
      const { layer, filter, chosen } = readAddress();
      const named = (names) => Object.fromEntries(Object.entries(names).map(([name, value]) => [name, chosen[name] ?? value]));
      const sorts = this.sorts.map((each) => each.column);
      Object.assign(this, named(ALL), {
        sort: sorts.includes(chosen.sort) ? chosen.sort : ALL.sort,
        descending: chosen.descending === "true",
        across: chosen.across === "true",
        range: named(NO_RANGE),
        recipes: chosen.recipes === undefined ? [...DATA.recipes] : DATA.recipes.filter((each) => chosen.recipes.split(",").includes(each)),
        layer: DATA.layers.includes(layer) ? layer : "",
      });
      if (history.state === null) history.replaceState({}, "");
      const tile = filter === null ? undefined : findFilter(layer, filter);
      if (tile) this.show(tile);
      else if (this.chosen) this.hide();
      if (scroll && this.layer) this.scrollTo(this.layer);
    },
    jump(layer) {
      if (this.across || !this.found.some((tile) => tile.layer === layer)) this.reset();
      this.layer = layer;
      history.pushState({}, "", writeAddress(layer, null, this.choice));
      this.scrollTo(layer).then((heading) => heading?.focus({ preventScroll: true }));
    },
    async scrollTo(layer) {
      await Vue.nextTick();
      const heading = document.getElementById(`of-${layer}`);
      heading?.scrollIntoView();
      return heading;
    },
    open(tile) {
      const address = writeAddress(tile.layer, tile.filter, this.choice);
      if (this.chosen) history.replaceState(history.state, "", address);
      else history.pushState({ opened: true }, "", address);
      this.show(tile);
    },
    close() {
      if (history.state?.opened) return history.back();
      history.replaceState({}, "", writeAddress(this.layer, null, this.choice));
      this.hide();
    },
    show(tile) {
      Object.assign(this, { chosen: tile, details: {}, copied: false });
      for (const image of tile.images) this.load(image);
      if (!this.$refs.dialog.open) this.$refs.dialog.showModal();
    },
    hide() {
      this.chosen = null;
      this.$refs.dialog.close();
    },
    async copy() {
      try {
        await navigator.clipboard.writeText(location.href);
        this.copied = true;
      } catch {
        window.prompt("The link to this filter:", location.href); // where a page may not write to the clipboard
      }
    },

    // What is known about an opened image.
    load(image) {
      const name = `${image.recipe}-${image.layer}`;
      // A file that comes late must not show its layer's details beside an image of another that was opened since.
      const show = () => {
        if (this.chosen?.layer === image.layer) this.details = { ...this.details, [image.recipe]: DETAILS[name] };
      };
      if (DETAILS[name]) return show();
      const script = document.createElement("script");
      Object.assign(script, { src: `gallery/details/${name}.js`, onload: show });
      document.head.append(script);
    },
    // As large as its column allows, every pixel a whole number of the screen's.
    enlarge({ target }) {
      const ratio = window.devicePixelRatio;
      const times = Math.max(1, Math.floor((Math.min(target.parentElement.clientWidth, 480) * ratio) / target.naturalWidth));
      target.style.width = `${(target.naturalWidth * times) / ratio}px`;
    },
    histogram(image) {
      const counts = this.details[image.recipe].histograms[image.place];
      const most = Math.max(...counts.flat(), 1);
      const line = (bins) => bins.map((count, bin) => `${bin},${(39 - (38 * count) / most).toFixed(1)}`).join(" ");
      return { red: line(counts[0]), green: line(counts[1]), blue: line(counts[2]) };
    },
    // What became of a filter's image, in a few words.
    became(image) {
      if (image.status === "dead") return DATA.described ? "dead: noise" : "dead: the noise that it started from";
      return image.activation === null ? "" : `activation ${risen(image)}`;
    },
    told(image) {
      const of = image.columns.filter.length;
      const activation = image.activation === null ? null : risen(image);
      return [
        ["activation", activation],
        ["place in its layer", image.rank === null ? null : `${ordinal(image.rank)} of ${of}`],
        ["uniformity index", image.index.toFixed(3)],
      ].filter(([, value]) => value !== null);
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
        return { ...near, tile: findFilter(near.layer, near.filter) };
      });
    },

    // Arrow keys walk over the tiles, so that the tabulator goes from layer to layer.
    move(event) {
      const tile = event.target.closest(".tile");
      if (!tile) return;
      const own = [...tile.closest("ul").querySelectorAll(".tile")];
      const all = [...this.$refs.main.querySelectorAll(".tile")];
      const place = all.indexOf(tile);
      const steps = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: this.columns, ArrowUp: -this.columns };
      const next = { Home: own[0], End: own.at(-1) }[event.key] ?? all[place + steps[event.key]];
      if (!next) return;
      event.preventDefault();
      for (const each of next.closest("ul").querySelectorAll("[tabindex='0']")) each.tabIndex = -1;
      next.tabIndex = 0;
      next.focus();
    },

    // From an opened image to those beside it: by arrow keys, buttons and swipes.
    beside(step) {
      const order = this.sections.flatMap((section) => section.tiles);
      const place = order.findIndex((tile) => tile.layer === this.chosen.layer && tile.filter === this.chosen.filter);
      return place < 0 ? undefined : order[place + step];
    },
    go(step) {
      const next = this.chosen && this.beside(step);
      if (next) this.open(next);
    },
    step(event) {
      const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
      if (step && !event.altKey && !event.ctrlKey && !event.metaKey) this.go(step);
    },
    touch({ touches }) {
      this.touched = touches.length === 1 ? { x: touches[0].clientX, y: touches[0].clientY } : null;
    },
    swipe({ changedTouches: [touch] }) {
      if (!this.touched) return;
      const [across, down] = [touch.clientX - this.touched.x, touch.clientY - this.touched.y];
      this.touched = null;
      if (Math.abs(across) > 50 && Math.abs(across) > 2 * Math.abs(down)) this.go(across < 0 ? 1 : -1);
    },
  },
  directives: { sprite: { mounted: showSprite, updated: showSprite } },
}).mount("#app");
