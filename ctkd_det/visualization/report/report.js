// Draws each plot when it first comes into view, in the colours of the page's scheme.
'use strict';
(() => {
  const dark = window.matchMedia('(prefers-color-scheme: dark)');
  const hidden = new Set();
  const drawn = new Set();
  const config = {displaylogo: false, displayModeBar: false, responsive: true, scrollZoom: false};

  function scheme(layout) {
    const style = getComputedStyle(document.documentElement);
    const colour = name => style.getPropertyValue(name).trim();
    const theme = {
      paper_bgcolor: 'rgba(0,0,0,0)', plot_bgcolor: 'rgba(0,0,0,0)',
      font: {color: colour('--soft'), family: style.fontFamily, size: 12},
      hoverlabel: {bgcolor: colour('--raised'), bordercolor: colour('--line'),
                   font: {color: colour('--ink')}, align: 'left', namelength: -1},
    };
    for (const axis of Object.keys(layout).filter(key => /^[xy]axis/.test(key))) {
      theme[axis] = Object.assign({}, layout[axis], {
        gridcolor: colour('--grid'), zerolinecolor: colour('--line'), linecolor: colour('--line'),
      });
    }
    return Object.assign({}, layout, theme);
  }

  function visibility(trace) {
    return hidden.has(trace.meta) ? false : true;
  }

  function draw(element) {
    if (drawn.has(element)) return;
    drawn.add(element);
    const source = element.querySelector('script');
    const figure = JSON.parse(source.textContent);
    source.remove();
    element.figure = figure;
    figure.data.forEach(trace => { trace.visible = visibility(trace); });
    Plotly.newPlot(element, figure.data, scheme(figure.layout), config);
  }

  const seen = new IntersectionObserver(entries => {
    entries.filter(entry => entry.isIntersecting).forEach(entry => draw(entry.target));
  }, {rootMargin: '400px'});
  document.querySelectorAll('.plot').forEach(element => seen.observe(element));
  window.addEventListener('beforeprint', () => {
    document.querySelectorAll('.plot').forEach(element => element.offsetParent && draw(element));
  });

  dark.addEventListener('change', () => {
    drawn.forEach(element => Plotly.react(element, element.data, scheme(element.figure.layout),
                                          config));
  });

  document.querySelectorAll('.chip').forEach(chip => chip.addEventListener('click', () => {
    const key = chip.dataset.key;
    const show = hidden.has(key);
    if (show) hidden.delete(key); else hidden.add(key);
    chip.setAttribute('aria-pressed', String(show));
    drawn.forEach(element => {
      const mine = element.data.map((trace, i) => trace.meta === key ? i : -1).filter(i => i >= 0);
      if (mine.length) Plotly.restyle(element, {visible: show}, mine);
    });
  }));

  const dialog = document.getElementById('enlarged');
  document.querySelectorAll('.zoom').forEach(button => button.addEventListener('click', () => {
    const picture = button.querySelector('svg').cloneNode(true);
    const view = picture.viewBox.baseVal;
    dialog.style.setProperty('--ratio', view.width / view.height);
    dialog.querySelector('div').replaceChildren(picture);
    dialog.querySelector('p').textContent = picture.getAttribute('aria-label');
    dialog.showModal();
  }));
  // a click anywhere closes it, as does Escape
  dialog.addEventListener('click', () => dialog.close());

  document.querySelectorAll('.tabs').forEach(tabs => tabs.addEventListener('click', event => {
    if (!event.target.dataset.show) return;
    tabs.querySelectorAll('button').forEach(button => {
      const on = button === event.target;
      button.setAttribute('aria-pressed', String(on));
      const panel = document.getElementById(button.dataset.show);
      panel.hidden = !on;
      // the window may have changed its width while the plot was hidden
      if (on) panel.querySelectorAll('.plot').forEach(
        element => drawn.has(element) ? Plotly.Plots.resize(element) : draw(element));
    });
  }));
})();
