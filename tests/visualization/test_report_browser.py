"""The page in a browser: draws, answers the pointer, stays inside the window, fetches nothing."""
import json
import shutil
from urllib.parse import urlparse

import pytest
import torch
from mmengine.config import Config

from ctkd_det.visualization.report import write_report
from helpers import CONFIGS, build, use_data
from studies import find_all, write_run

webdriver = pytest.importorskip('selenium.webdriver')
BROWSER = next(filter(None, map(shutil.which, (
    'chromium', 'chromium-browser', 'google-chrome', 'google-chrome-stable'))), None)
DRIVER = shutil.which('chromedriver')
pytestmark = pytest.mark.skipif(
    not (BROWSER and DRIVER), reason='needs chromium (or Chrome) and chromedriver')

FLAGS = ('--headless=new', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run',
         '--disable-background-networking', '--disable-component-update', '--disable-sync',
         '--disable-dev-shm-usage')
WIDE, NARROW = (1400, 900), (400, 800)


@pytest.fixture(scope='module')
def page(shapes, tmp_path_factory):
    """A report with everything in it: detectors with random weights and the shipped teacher."""
    folder = tmp_path_factory.mktemp('browser')
    paths = []
    for name, stem in (('student', 'student'), ('ctkd', 'ctkd'), ('ctkd', 'ctkd_again')):
        cfg = use_data(Config.fromfile(CONFIGS / 'shapes' / f'{name}.py'), shapes)
        taus = [] if name == 'student' else [
            {'ctkd.tau_mean': 1 + i / 50, 'ctkd.lambda': i / 30, 'step': i}
            for i in (10, 20, 30)]
        # a name that has nowhere to break
        stem = stem if name == 'student' else f'{stem}-{"long" * 15}'
        run = write_run(folder / stem, stem, cfg.model.to_dict(), records=taus,
                        val_dataloader=cfg.val_dataloader.to_dict())
        plain = build(Config.fromfile(CONFIGS / 'shapes' / 'student.py'))
        torch.save(dict(state_dict=plain.state_dict()), run / 'epoch_2.pth')
        if name == 'ctkd':
            find_all(run)  # else it differs from the student on no image
        paths.append(run)
    return write_report(paths, folder / 'report.html', images=2, score_thr=0.05)


@pytest.fixture
def browser(tmp_path):
    options = webdriver.ChromeOptions()
    options.binary_location = BROWSER
    for flag in (*FLAGS, f'--user-data-dir={tmp_path / "profile"}'):
        options.add_argument(flag)
    options.set_capability('goog:loggingPrefs', dict(browser='ALL', performance='ALL'))
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(DRIVER))
    yield driver
    driver.quit()


def open_page(browser, page, size=WIDE, dark=False):
    browser.execute_cdp_cmd('Emulation.setDeviceMetricsOverride', dict(
        width=size[0], height=size[1], deviceScaleFactor=1, mobile=False))
    browser.execute_cdp_cmd('Emulation.setEmulatedMedia', dict(features=[dict(
        name='prefers-color-scheme', value='dark' if dark else 'light')]))
    browser.get(page.as_uri())
    wait(browser, "return document.querySelector('#curves .main-svg') !== null")


def wait(browser, script, *args, seconds=60):
    from selenium.webdriver.support.ui import WebDriverWait
    return WebDriverWait(browser, seconds).until(lambda b: b.execute_script(script, *args))


def show_all(browser):
    """Scroll through the page, so that every plot that can be seen is drawn."""
    wait(browser, """
        for (const plot of document.querySelectorAll('.plot'))
          if (plot.offsetParent && !plot.querySelector('.main-svg')) {
            plot.scrollIntoView(); return false;
          }
        return true;""")


@pytest.mark.parametrize('dark', [False, True])
@pytest.mark.parametrize('size', [WIDE, NARROW])
def test_fits_the_window_and_fetches_nothing(browser, page, size, dark):
    open_page(browser, page, size, dark)
    show_all(browser)
    # nothing but what scrolls by itself reaches beyond the window
    beyond = browser.execute_script("""
        return [...document.querySelectorAll('main *, header *')].filter(e =>
          !e.closest('.scroll, .store') && !e.closest('svg') &&
          e.getBoundingClientRect().right > innerWidth + 1).map(e => e.outerHTML.slice(0, 200))""")
    assert beyond == []
    assert browser.execute_script('return document.documentElement.scrollWidth') <= size[0]
    assert [e for e in browser.get_log('browser') if e['level'] in ('SEVERE', 'WARNING')] == []
    messages = [json.loads(e['message'])['message'] for e in browser.get_log('performance')]
    requests = [m['params'] for m in messages if m['method'] == 'Network.requestWillBeSent']
    # the browser's own start page fetches its parts, too
    urls = [r['request']['url'] for r in requests if r['documentURL'] == page.as_uri()]
    assert page.as_uri() in urls  # so the log does see requests
    assert [u for u in urls if urlparse(u).scheme not in ('data', 'blob') and u != page.as_uri()] \
        == []


def test_plots_follow_the_scheme(browser, page):
    colours = []
    for dark in (False, True):
        open_page(browser, page, dark=dark)
        colours.append(browser.execute_script(
            "return getComputedStyle(document.querySelector('#curves .xtick text')).fill"))
    # the system changes its mind while the page is open
    browser.execute_cdp_cmd('Emulation.setEmulatedMedia', dict(features=[dict(
        name='prefers-color-scheme', value='light')]))
    wait(browser, "return getComputedStyle(document.querySelector('#curves .xtick text')).fill"
         ' === arguments[0]', colours[0])
    assert colours[0] != colours[1]


def test_pointer_shows_the_run_s_name_and_value(browser, page):
    open_page(browser, page)
    at = browser.execute_script("""
        const plot = document.querySelector('#curves .plot');
        plot.scrollIntoView({block: 'center'});
        const box = plot.querySelector('.points path').getBoundingClientRect();
        return [box.x + box.width / 2, box.y + box.height / 2];""")
    # two moves: Plotly answers to movement
    for shift in (3, 0):
        browser.execute_cdp_cmd('Input.dispatchMouseEvent', dict(
            type='mouseMoved', x=at[0] + shift, y=at[1]))
    label = wait(browser, "return document.querySelector('#curves .hoverlayer')?.textContent")
    assert label.endswith('1: 10.0') and ('student' in label or 'ctkd' in label)


def test_legend_hides_a_method_everywhere_and_shows_it_again(browser, page):
    open_page(browser, page)
    lines = "return document.querySelectorAll('#curves .plot .scatterlayer .trace').length"
    assert browser.execute_script(lines) == 3
    chip = browser.find_element('css selector', '.chip')
    chip.click()
    wait(browser, lines + ' === 2')
    assert chip.get_attribute('aria-pressed') == 'false'
    show_all(browser)  # also in plots that are drawn only now
    assert browser.execute_script(
        "return [...document.querySelectorAll('#losses .plot')].every(p => p.data.filter("
        "t => t.meta === arguments[0]).every(t => t.visible === false))",
        chip.get_attribute('data-key'))
    chip.click()
    wait(browser, lines + ' === 3')


def test_tabs_change_the_metric_and_the_method(browser, page):
    open_page(browser, page)
    tabs = browser.find_elements('css selector', '#curves .tabs button')
    assert [t.text for t in tabs] == ['mAP', 'AP50']
    tabs[1].click()
    title = wait(browser, "return document.querySelector('#curve-2 .ytitle')?.textContent")
    assert title == 'AP50 in %'
    assert not browser.find_element('css selector', '#curve-1').is_displayed()
    browser.find_elements('css selector', '#knowledge .tabs button')[1].click()
    wait(browser, "return document.querySelector('#knowledge-2 .main-svg') !== null")


def test_a_click_enlarges_a_picture_and_escape_closes_it(browser, page):
    open_page(browser, page)
    picture = browser.find_elements('css selector', '.zoom')[1]
    small = picture.size['width']
    browser.execute_script("arguments[0].scrollIntoView({block: 'center'})", picture)
    picture.click()
    wide = wait(browser, "return document.querySelector('#enlarged[open] svg')"
                '?.getBoundingClientRect().width')
    assert wide > 2 * small and wide <= WIDE[0]
    # the image itself is there, and its names are those of the large size
    assert browser.execute_script(
        "return document.querySelector('#enlarged use').getBoundingClientRect().width") > 2 * small
    browser.switch_to.active_element.send_keys('\ue00c')
    wait(browser, "return !document.getElementById('enlarged').open")


def test_the_table_can_be_saved(browser, page):
    open_page(browser, page)
    link = browser.find_element('css selector', '#results a[download]')
    text = browser.execute_script(
        'return decodeURIComponent(arguments[0].href.split(",").slice(1).join(","))', link)
    header, *rows = text.splitlines()
    assert header.startswith('method,config,role,seeds,gain') and len(rows) == 4
