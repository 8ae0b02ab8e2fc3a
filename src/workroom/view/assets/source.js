// Sources: where a page takes its data from. {index, chunk(name), text(name), blob(name, type), file(entry), address(entry)}

const SLICE = 1 << 20; // characters decoded at a time

async function unpacked(element) {
  const text = element.textContent;
  const parts = [];
  for (let start = 0; start < text.length; start += SLICE) {
    const binary = atob(text.slice(start, start + SLICE));
    const bytes = new Uint8Array(binary.length);
    for (let place = 0; place < binary.length; place++) bytes[place] = binary.charCodeAt(place);
    parts.push(bytes);
    if (start % (8 * SLICE) === 7 * SLICE) await pause();
  }
  const blob = new Blob(parts);
  if (element.dataset.encoding !== "gzip") return blob;
  return new Response(blob.stream().pipeThrough(new DecompressionStream("gzip"))).blob();
}

/* The element of a chunk, once it is whole: the page may still be coming in. */
async function chunkElement(name) {
  for (;;) {
    const element = document.getElementById(`chunk-${name}`);
    if (element && (element.nextElementSibling || document.readyState !== "loading")) return element;
    if (document.readyState !== "loading") throw new Error(`${name} is not in this page`);
    await pause(30);
  }
}

function sourceOf(index, bytes, more) {
  return {
    index,
    chunk: async (name) => JSON.parse(await (await bytes(name)).text()),
    text: async (name) => (await bytes(name)).text(),
    blob: async (name, type) => new Blob([await bytes(name)], { type }),
    ...more,
  };
}

/* The data within this page. `prefix`: of the names of its chunks. */
function embeddedSource(index, prefix = "") {
  const bytes = async (name) => unpacked(await chunkElement(prefix + name));
  return sourceOf(index || JSON.parse($("#index").textContent), bytes, {
    file: async (entry) => new Blob([await bytes(entry.chunk)], { type: entry.media_type }),
    address: () => null,
    has: (entry) => entry.embedded,
  });
}

/* The data that a server has below `base`: index?after=ROW, chunk/NAME and files/PATH. `poll(after, anew)` gives the index
   with the rows from there on, null where nothing has changed since the last one, unless it is wanted `anew`. */
async function servedSource(base) {
  let tag = null;
  const get = async (path, headers) => {
    const answer = await fetch(base + path, { headers: headers || {}, cache: "no-store" });
    if (!answer.ok && answer.status !== 304) throw new Error(`the server answered ${answer.status}`);
    return answer;
  };
  const look = async (after, anew) => {
    const answer = await get(`index?after=${after}`, tag && !anew ? { "If-None-Match": tag } : {});
    if (answer.status === 304) return null;
    tag = answer.headers.get("ETag");
    return answer.json();
  };
  const bytes = async (name) => (await get(`chunk/${encodeURIComponent(name)}`)).blob();
  return sourceOf(await look(0), bytes, {
    file: async (entry) => new Blob([await (await get(`files/${entry.href}`)).blob()], { type: entry.media_type }),
    address: (entry) => `${base}files/${entry.href}`,
    has: () => true,
    poll: look,
  });
}
