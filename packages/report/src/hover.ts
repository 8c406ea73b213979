/** Follows the pointer over a figure and shows the row of its table that is nearest. The page can be read without it. */
export const hover = `for (const figure of document.querySelectorAll('figure')) {
  const charts = figure.querySelectorAll('svg[data-left]');
  if (charts.length === 0) continue;
  const names = [...figure.querySelectorAll('thead th')].map((cell) => cell.textContent);
  const rows = [...figure.querySelectorAll('tbody tr')].map((row) => [...row.cells].map((cell) => cell.textContent));
  const place = (row) => Number(row[0].replaceAll(',', ''));
  const tip = document.createElement('div');
  tip.className = 'tip';
  tip.hidden = true;
  figure.append(tip);
  for (const svg of charts) {
    const { left, right, low, high } = svg.dataset;
    const cursor = svg.querySelector('.cursor');
    const hide = () => {
      tip.hidden = true;
      cursor.style.visibility = 'hidden';
    };
    svg.addEventListener('pointerleave', hide);
    svg.addEventListener('pointermove', (event) => {
      const box = svg.getBoundingClientRect();
      const at = ((event.clientX - box.left) / box.width) * svg.viewBox.baseVal.width;
      const share = (at - left) / (right - left);
      if (share < -0.02 || share > 1.02 || rows.length === 0) return hide();
      const value = Number(low) + share * (high - low);
      const far = (row) => Math.abs(place(row) - value);
      const row = rows.reduce((best, other) => (far(other) < far(best) ? other : best));
      const x = Number(left) + ((place(row) - low) / (high - low)) * (right - left);
      cursor.setAttribute('x1', x);
      cursor.setAttribute('x2', x);
      cursor.style.visibility = 'visible';
      tip.replaceChildren();
      row.forEach((text, cell) => {
        if (text === '') return;
        const line = document.createElement('div');
        line.textContent = names[cell] + ': ' + text;
        tip.append(line);
      });
      tip.hidden = false;
      const around = figure.getBoundingClientRect();
      const inside = event.clientX - around.left;
      const before = inside < around.width / 2;
      tip.style.top = event.clientY - around.top + 14 + 'px';
      tip.style.left = before ? inside + 12 + 'px' : 'auto';
      tip.style.right = before ? 'auto' : around.width - inside + 12 + 'px';
    });
  }
}`;
