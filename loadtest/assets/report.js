// Shows the result that stands in the page as JSON. Text from outside is only ever set as text, never as markup.
// When all plots are drawn, the root element says how many in `data-plots`; what goes wrong stands in `data-problem`.
"use strict";
(() => {
  const root = document.documentElement;

  function tell(problem) {
    const place = document.getElementById("problem");
    place.textContent = `This report could not be shown in full: ${problem}`;
    place.hidden = false;
    root.dataset.problem = problem;
  }
  window.addEventListener("error", (event) => tell(event.message));
  document.addEventListener("securitypolicyviolation", (event) => tell(`the page asked for ${event.blockedURI}`));

  const { result, plots } = JSON.parse(document.getElementById("data").textContent);
  const { environment, clients, events, rates, generator, verdict } = result;

  // Numbers.

  const isKnown = (value) => value !== null && value !== undefined;

  function writer(digits) {
    const format = new Intl.NumberFormat("en-US", { minimumFractionDigits: digits, maximumFractionDigits: digits });
    return (value) => (isKnown(value) ? format.format(value) : "unknown");
  }
  const [count, one, two, three] = [0, 1, 2, 3].map(writer);

  const rate = (value) => (isKnown(value) && value < 100 ? two : count)(value);
  const ms = (us) => three(us / 1e3);
  const percent = (share) => `${one(share * 100)} %`;

  function duration(us) {
    const digits = (value) => String(Number(value.toPrecision(3)));
    if (us < 1e3) return `${digits(us)} µs`;
    return us < 1e6 ? `${digits(us / 1e3)} ms` : `${digits(us / 1e6)} s`;
  }

  function size(bytes) {
    const units = ["B", "KiB", "MiB", "GiB", "TiB"];
    const power = Math.min(units.length - 1, Math.floor(Math.log2(Math.max(bytes, 1)) / 10));
    return `${(power === 0 ? count : two)(bytes / 1024 ** power)} ${units[power]}`;
  }

  function amount(number) {
    const digits = (value) => String(Number(value.toFixed(2)));
    if (number < 1e3) return digits(number);
    return number < 1e6 ? `${digits(number / 1e3)} k` : `${digits(number / 1e6)} M`;
  }

  /** 1 / (1 - percentile) as a percentile: as many nines as it needs. */
  function percentile(x) {
    const digits = Math.max(0, Math.ceil(Math.log10(x) - 2 - 1e-9)) + (Number.isInteger(Math.log10(x)) ? 0 : 1);
    return `${(100 - 100 / x).toFixed(digits)} %`;
  }

  // Elements.

  function element(name, attributes, ...children) {
    const made = document.createElement(name);
    for (const [key, value] of Object.entries(attributes ?? {})) made.setAttribute(key, value);
    made.append(...children.filter(isKnown));
    return made;
  }

  function table(caption, head, rows, look = "") {
    const cells = (row) => row.map((cell) => element("td", null, cell));
    const headings = head.map((name) => element("th", { scope: "col" }, name));
    return element("div", { class: "scroll" }, element("table", { class: look },
      caption ? element("caption", null, caption) : null,
      head.some(Boolean) ? element("thead", null, element("tr", null, ...headings)) : null,
      element("tbody", null, ...rows.map((row) => element("tr", null, ...cells(row))))));
  }

  const card = (look, ...children) => element("div", { class: `card ${look}` }, ...children);
  const stack = (...children) => element("div", { class: "stack" }, ...children);
  const section = (title, ...children) => element("section", null, element("h2", null, title), ...children);

  // The parts of the page.

  function header() {
    const words = (verdict.pass ? "Passed" : "Failed") + (verdict.interrupted ? ", interrupted" : "");
    const started = new Date(environment.started_unix_ms).toISOString().replace("T", " ").slice(0, 19);
    return element("header", null,
      element("h1", null, environment.scenario),
      element("span", { class: `verdict ${verdict.pass ? "pass" : "fail"}` }, words),
      element("p", { class: "quiet" }, `${environment.url} · ${started} UTC · ${two(rates.measured_s)} s measured`));
  }

  function notices() {
    const texts = generator.limits.length > 0 ? [...generator.limits] : generator.limited ? ["no reason is given"] : [];
    const limited = texts.map((why) => (generator.limited ? `Limited by the load generator, no capacity claim: ${why}` : why));
    const interrupted = verdict.interrupted ? ["The run was ended before its time: the figures cover what was measured until then."] : [];
    return [...interrupted, ...limited, ...(result.latency_note ? [result.latency_note] : [])]
      .map((text) => element("p", { class: "notice" }, text));
  }

  function figures() {
    const figure = (name, value, about, look = "") => card("",
      element("dt", null, name),
      element("dd", { class: `value ${look}` }, value),
      element("dd", { class: "quiet small" }, about));
    const latency = result.latency_us?.scheduled ?? result.latency_us?.actual;
    const from = result.latency_us?.scheduled ? "from the scheduled time" : "from the actual time";
    const known = (name, value) => figure(name, latency ? duration(value(latency)) : "none", latency ? from : "not measured");
    const spoilt = events.duplicated + events.reordered + events.corrupt + events.breaches;
    return element("dl", { class: "figures" },
      figure("Clients connected", count(clients.connected), `of ${count(clients.asked)} asked`),
      figure("Deliveries", count(events.delivered), `of ${count(events.expected)} expected`),
      figure("Lost", count(events.lost), `${count(events.gap_events)} announced in gaps`, events.lost > 0 ? "fail" : ""),
      figure("Out of order, twice or broken", count(spoilt), "of all deliveries", spoilt > 0 ? "fail" : ""),
      figure("Deliveries per second", count(rates.delivered_per_s), `${size(rates.bytes_per_s)}/s`),
      known("Latency p50", (all) => all.p50),
      known("Latency p99", (all) => all.p99),
      known("Latency max", (all) => all.max));
  }

  function checks() {
    const word = (pass) => element("span", { class: pass ? "pass" : "fail" }, pass ? "passed" : "failed");
    const rows = verdict.checks.map((check) => [element("code", null, check.name), check.value, word(check.pass)]);
    return card("", table("Checks", ["check", "measured", ""], rows, "text"),
      element("p", { class: "quiet small" }, `exit code ${verdict.exit_code}`));
  }

  function surroundings() {
    const code = (text) => element("code", null, text);
    const entries = [
      ["Command", code(environment.command)],
      ["Host", environment.host], ["Processor", `${environment.cpu}, ${count(environment.cores)} usable`],
      ["Kernel", environment.kernel], ["Descriptors", `${count(environment.descriptors)} per process`],
      ["Tool", environment.tool], ["Boot", code(environment.boot_id)],
    ];
    return card("", element("h3", null, "Environment"),
      element("dl", { class: "environment" }, ...entries.flatMap(([name, value]) =>
        [element("dt", null, name), element("dd", null, value)])));
  }

  function faults() {
    const all = result.faults;
    if (all.length === 0) return null;
    const items = all.map((fault) => element("li", null, fault));
    return section("Faults", card("", element("p", { class: "quiet small" }, "The first ones, in words; the tables count all."),
      element("ol", { class: "faults" }, ...items)));
  }

  function timesTable() {
    const rows = [
      ["latency from the scheduled time", result.latency_us?.scheduled], ["latency from the actual time", result.latency_us?.actual],
      ["publishing later than scheduled", result.latency_us?.publish_delay], ["connecting", result.connect_us],
      ["skew between clients", result.skew_us.last_less_first], ["waiting within the generator", generator.loop_delay_us],
    ].filter(([, all]) => all && all.count > 0);
    return card("wide", table("Times in milliseconds", ["", "values", "mean", "p50", "p90", "p99", "p99.9", "p99.99", "max"],
      rows.map(([name, all]) => [name, count(all.count), ...[all.mean, all.p50, all.p90, all.p99, all.p99_9, all.p99_99, all.max].map(ms)])));
  }

  function eventsTable() {
    const keys = ["published", "expected", "delivered", "lost", "duplicated", "reordered", "announced_gaps", "gap_events", "corrupt",
      "breaches", "snapshots", "recovered", "untimed", "from_the_future"];
    const hasFaulty = Object.keys(clients.faulty).length > 0;
    const other = (key) => (key === "published" ? "" : count(result.faulty_events[key]));
    const row = (key) => [key.replaceAll("_", " "), count(events[key]), ...(hasFaulty ? [other(key)] : [])];
    const head = ["", "judged strictly", ...(hasFaulty ? ["with a fault of their own"] : [])];
    return card("", table("Events", head, keys.map(row)));
  }

  function clientsTable() {
    const groups = [["judged strictly", clients.strict], ...Object.entries(clients.faulty)];
    const numbers = (all) => [all.asked, all.connected, all.failed, all.closed].map(count);
    const rows = groups.map(([name, all]) => [name, ...numbers(all), count(all.reconnected)]);
    if (groups.length > 1) rows.push(["all", ...numbers(clients), ""]);
    const list = (title, head, of) => {
      const found = groups.flatMap(([name, all]) => Object.entries(of(all)).map(([what, many]) => [what, name, count(many)]));
      return found.length > 0 ? table(title, [head, "clients", "times"], found, "text") : null;
    };
    return card("", table("Clients", ["", "asked", "connected", "failed", "closed", "reconnected"], rows),
      list("Closed by the server", "close code", (all) => all.close_codes),
      list("Could not connect", "reason", (all) => all.failure_reasons));
  }

  function ratesTable() {
    return card("", table("Rates", ["", ""], [
      ["published per second", rate(rates.published_per_s)], ["deliveries per second", rate(rates.delivered_per_s)],
      ["bytes per second", count(rates.bytes_per_s)], ["messages per read", two(rates.messages_per_read)],
      ["deliveries at the client with fewest", count(rates.per_client_min)], ["deliveries at the median client", count(rates.per_client_p50)],
      ["deliveries at the client with most", count(rates.per_client_max)], ["fairness (Jain's index, 1 is even)", three(rates.fairness)],
      ["events sampled for skew", count(result.skew_us.events)],
    ]));
  }

  function generatorTable() {
    const publisher = generator.publisher;
    const published = result.published;
    return card("", table("Load generator", ["", ""], [
      ["processes with clients", count(generator.workers)], ["CPU, clients and publisher", `${two(generator.cpu_s)} s`],
      ["CPU of the clients per delivery", `${three(generator.cpu_us_per_delivery)} µs`],
      ["busiest client thread", `${percent(generator.busiest)} of a core`], ["user memory per client", size(generator.bytes_per_client)],
      ...(publisher ? [["events due", count(publisher.due)], ["accepted by the server", count(published?.accepted)],
        ["dropped from the schedule", count(publisher.dropped)], ["rejected by the server", count(publisher.rejected)],
        ["CPU of the publisher", `${two(publisher.cpu_s)} s`]] : []),
    ]));
  }

  /** Long for a long run: made when it is opened. */
  function secondsTable() {
    const details = element("details", null, element("summary", null, "Every second in numbers"));
    const head = ["second", "deliveries", "bytes", "clients", "p50 ms", "p99 ms", "p99.9 ms", "max ms"];
    const time = (second, us) => (second.max_us > 0 ? ms(us) : "");
    const row = (second) => [String(second.at_s), count(second.delivered), count(second.bytes), count(second.connected),
      ...[second.p50_us, second.p99_us, second.p99_9_us, second.max_us].map((us) => time(second, us))];
    details.addEventListener("toggle", () => details.append(table("", head, result.per_second.map(row))), { once: true });
    return card("wide", details);
  }

  // Plots.

  const css = (name) => getComputedStyle(root).getPropertyValue(name).trim();
  const drawn = new Set();

  /** 1, 2 and 5 times the powers of ten from `min` to `max`; the powers alone where that would be too many. */
  function steps(min, max) {
    const digits = max / min > 1e4 ? [1] : [1, 2, 5];
    const powers = [];
    for (let power = Math.floor(Math.log10(min)); power <= Math.ceil(Math.log10(max)); power += 1) powers.push(power);
    return powers.flatMap((power) => digits.map((digit) => digit * 10 ** power));
  }

  function below(value) {
    return steps(value / 10, value).filter((step) => step <= value * (1 + 1e-9)).at(-1);
  }

  function above(value) {
    return steps(value, value * 10).find((step) => step >= value * (1 - 1e-9));
  }

  /** Powers of ten, as many as there is room to write. */
  function nines(plot, _, min, max) {
    const all = steps(min, max).filter((x) => Math.log10(x) % 1 === 0 && x >= min * 0.999 && x <= max * 1.001);
    const every = Math.ceil((70 * all.length) / (plot.bbox.width / devicePixelRatio));
    return all.filter((_, at) => at % every === 0);
  }

  /** How an axis of each kind is scaled and written. */
  const kinds = {
    percentile: {
      scale: { time: false, distr: 3, range: (_, min, max) => [Math.max(1, min), Math.max(10, max)] },
      splits: nines,
      text: percentile,
    },
    duration: {
      scale: { distr: 3, range: (_, min, max) => (min === null ? [1, 10] : [below(min), above(Math.max(max, min * 1.5))]) },
      splits: (_, __, min, max) => steps(min, max).filter((us) => us >= min * 0.999 && us <= max * 1.001),
      text: duration,
    },
    time: { scale: { time: false, range: (_, min, max) => [min, max > min ? max : min + 1] }, text: count },
    amount: { scale: { range: (_, __, max) => uPlot.rangeNum(0, Math.max(max, 1), { min: { pad: 0, hard: 0 }, max: { pad: 0.1 } }) }, text: amount },
  };

  function axis({ kind, label }, size) {
    const { splits, text } = kinds[kind];
    const ends = { stroke: css("--quiet"), font: `12px ${getComputedStyle(document.body).fontFamily}` };
    return {
      ...ends, label, labelFont: ends.font, labelSize: 22, labelGap: 2, size,
      grid: { stroke: css("--grid"), width: 1 }, ticks: { show: false },
      values: (_, all) => all.map((value) => (isKnown(value) ? text(value) : "")),
      ...(splits ? { splits, filter: (_, all) => all } : {}),
    };
  }

  /** For those who do not see the picture. */
  function words(plot) {
    const text = kinds[plot.y.kind].text;
    const spans = plot.lines.map((line) => {
      const values = line.values.filter(isKnown);
      return `${line.name} ${text(Math.min(...values))} to ${text(Math.max(...values))}`;
    });
    return `${plot.title}, over ${plot.x.label}: ${spans.join("; ")}`;
  }

  const extent = (place) => ({ width: place.clientWidth, height: place.clientWidth > 700 ? 340 : 260 });

  function draw(plot, place) {
    const line = ({ name }, at) => ({
      label: name, stroke: css(`--line-${at % 4 + 1}`), width: 2, points: { show: plot.at.length < 2 },
      value: (_, value) => (isKnown(value) ? kinds[plot.y.kind].text(value) : ""),
    });
    const x = { label: plot.x.kind === "time" ? "second" : plot.x.label, value: (_, value) => (isKnown(value) ? kinds[plot.x.kind].text(value) : "") };
    const options = {
      ...extent(place), padding: [10, 24, 0, 0],
      scales: { x: kinds[plot.x.kind].scale, y: kinds[plot.y.kind].scale },
      axes: [{ ...axis(plot.x, 34), gap: 9 }, axis(plot.y, 70)], series: [x, ...plot.lines.map(line)],
      cursor: plot.x.kind === "time" ? { sync: { key: "time" } } : {},
      hooks: { draw: [() => done(plot)] },
    };
    const made = new uPlot(options, [plot.at, ...plot.lines.map((each) => each.values)], place);
    const canvas = made.ctx.canvas;
    canvas.setAttribute("role", "img");
    canvas.setAttribute("aria-label", words(plot));
    return made;
  }

  function done(plot) {
    drawn.add(plot.id);
    if (drawn.size === plots.length) {
      if (location.hash === "#count-pixels") countPixels();
      root.dataset.plots = String(plots.length);
    }
  }

  /** For tests: how much of each picture is curve. Grid and letters are grey, curves are not. */
  function countPixels() {
    for (const canvas of document.querySelectorAll("canvas")) {
      const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
      let coloured = 0;
      for (let at = 0; at < data.length; at += 4) {
        const [r, g, b] = data.subarray(at, at + 3);
        if (data[at + 3] > 200 && Math.max(r, g, b) - Math.min(r, g, b) > 60) coloured += 1;
      }
      canvas.dataset.pixels = String(coloured);
    }
  }

  function figure(plot) {
    const place = element("div", null);
    const caption = element("figcaption", null, element("h3", null, plot.title), element("p", { class: "quiet small" }, plot.note));
    const isWide = plot.id === "latency" || plot.id === "second-latency";
    return { plot, place, whole: element("figure", { class: `card ${isWide ? "wide" : ""}`, id: plot.id }, caption, place) };
  }

  /** Draws all, and again when the colours change; follows the width of the page. */
  function show(frames) {
    let made = frames.map(({ plot, place }) => draw(plot, place));
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
      made.forEach((each) => each.destroy());
      made = frames.map(({ plot, place }) => draw(plot, place));
    });
    window.addEventListener("resize", () => frames.forEach(({ place }, at) => made[at].setSize(extent(place))));
  }

  const frames = plots.map(figure);
  document.getElementById("report").append(...[
    header(), ...notices(), figures(),
    section("Verdict", element("div", { class: "pair" }, checks(), surroundings())),
    faults(),
    plots.length > 0 ? section("Plots", element("div", { class: "pair" }, ...frames.map((frame) => frame.whole))) : null,
    section("Figures", element("div", { class: "pair" }, timesTable(), stack(eventsTable(), clientsTable()), stack(ratesTable(), generatorTable()), secondsTable())),
    element("footer", { class: "quiet small" }, `${environment.tool} · ${result.schema} · plots by uPlot (MIT licence, in this file)`),
  ].filter(isKnown));
  if (plots.length === 0) root.dataset.plots = "0";
  show(frames);
})();
