// SPDX-License-Identifier: AGPL-3.0-only

// What is wrong with the page that is open, as a list of sentences. Contrast is that of WCAG 2.2, 1.4.3.
(() => {
  const faults = [];
  const width = document.documentElement.clientWidth;
  if (document.documentElement.scrollWidth > width) faults.push(`the page scrolls sideways: ${document.documentElement.scrollWidth} px`);
  if (document.querySelectorAll("h1").length !== 1) faults.push("there is no heading of the page, or more than one");
  for (const link of document.querySelectorAll("a")) if (!link.textContent.trim()) faults.push("a link without text");

  const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const rgba = (color) => {
    canvas.clearRect(0, 0, 1, 1);
    canvas.fillStyle = color;
    canvas.fillRect(0, 0, 1, 1);
    return [...canvas.getImageData(0, 0, 1, 1).data];
  };
  const light = ([r, g, b]) => [r, g, b].map((c) => c / 255).map((c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4))
    .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
  const ground = (element) => {
    for (let at = element; at; at = at.parentElement) {
      const found = rgba(getComputedStyle(at).backgroundColor);
      if (found[3] === 255) return found;
      if (found[3] > 0) faults.push(`a ground that lets through: ${at.className}`);
    }
    return rgba(getComputedStyle(document.documentElement).colorScheme.includes("dark") && matchMedia("(prefers-color-scheme: dark)").matches ? "#121212" : "#fff");
  };
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  const said = new Set();
  while (texts.nextNode()) {
    const text = texts.currentNode.textContent.trim(), element = texts.currentNode.parentElement;
    const box = element.getBoundingClientRect(), style = getComputedStyle(element);
    if (!text || !box.width || style.visibility === "hidden" || element.closest(".unseen, style, [aria-hidden=true]")) continue;
    const range = document.createRange();
    range.selectNodeContents(texts.currentNode);
    const right = Math.max(...[...range.getClientRects()].map((r) => r.right));
    if (right > width + 0.5) faults.push(`a text sticks out to ${Math.round(right)} px: ${text.slice(0, 40)}`);
    const size = parseFloat(style.fontSize), large = size >= 24 || (size >= 18.66 && style.fontWeight >= 700);
    if (size < 11) faults.push(`a text is smaller than 11 px: ${text.slice(0, 40)}`);
    const [a, b] = [light(rgba(style.color)), light(ground(element))].sort((x, y) => y - x);
    const ratio = (a + 0.05) / (b + 0.05), key = `${style.color} on ${ground(element)}`;
    if (ratio < (large ? 3 : 4.5) && !said.has(key)) {
      said.add(key);
      faults.push(`contrast ${ratio.toFixed(2)} of "${text.slice(0, 40)}": ${key}`);
    }
  }
  return faults;
})();
