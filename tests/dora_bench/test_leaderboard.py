"""The tables on disk and the page in a real browser."""

import base64
import io
import json
import re
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from bench_results import MODELS, distorted, make_results, shape
from browser import Browser, browser, find_chromium, screenshot
from PIL import Image

from dora_bench.leaderboard import write_leaderboard
from dora_bench.metrics import METRICS
from dora_bench.page_meshes import pack_mesh
from dora_bench.report import load_results
from dora_bench.tables import leaderboard_table, noise_floors
from preprocessing.mesh import Mesh


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A written leaderboard over six models."""
    root = tmp_path_factory.mktemp("leaderboard")
    make_results(root / "results")
    write_leaderboard([root / "results"], root / "site")
    return root / "site"


# Tables


def test_same_results_give_the_same_bytes_in_any_order(tmp_path: Path) -> None:
    folders = make_results(tmp_path / "r", models=("identity", "dora-tiny"), count=3)
    write_leaderboard(folders, tmp_path / "a")
    write_leaderboard([*reversed(folders), tmp_path / "r"], tmp_path / "b")
    names = ["index.html", "leaderboard.csv", "leaderboard.json", "leaderboard.md"]
    found = sorted(p.relative_to(tmp_path / "a") for p in (tmp_path / "a").rglob("*.*"))
    assert [str(path) for path in found if path.parent == Path()] == names
    for name in found:
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_rank_follows_surface_scores_with_failures_worst_and_ties_share_it(tmp_path: Path) -> None:
    folders = make_results(tmp_path, models=("identity", "dora-tiny", "vecset"), gallery=False)
    twin = folders[0].parent.parent / "twin" / folders[0].name
    twin.mkdir(parents=True)
    for name in ("results.json", "items.parquet"):
        twin.joinpath(name).write_bytes((folders[0] / name).read_bytes())
    record = json.loads((twin / "results.json").read_text())
    record["model"]["name"] = "twin"
    (twin / "results.json").write_text(json.dumps(record))
    table = leaderboard_table(load_results([tmp_path]), group="all")
    assert list(table["model"][:2]) == ["identity", "twin"]
    assert list(table["rank"][:3]) == [1, 1, 3]
    assert table["rank"].is_monotonic_increasing
    assert table["surface_f_0.005_failures_worst"].is_monotonic_decreasing
    failing = table[table["n_ok"] < table["n_total"]]
    assert len(failing) == 3
    assert (failing["surface_f_0.005_failures_worst"] < failing["surface_f_0.005"]).all()


def test_csv_and_json_hold_every_row_and_group(site: Path) -> None:
    table = pd.read_csv(site / "leaderboard.csv", na_values=[""], keep_default_na=False)
    rows = json.loads((site / "leaderboard.json").read_text())["rows"]
    settings = sum(3 if model["bytes"] else 1 for model in MODELS.values())
    assert len(table) == len(rows) == settings * 8  # all, L0..L4, two splits
    assert set(METRICS) <= set(table.columns)
    for row, other in zip(table.to_dict("records"), rows, strict=True):
        assert (row["model"], row["tokens"], row["group"]) == (
            other["model"],
            other["tokens"],
            other["group"],
        )
        assert other["iou"] is None or row["iou"] == pytest.approx(other["iou"], rel=1e-9)


def test_noise_floor_is_the_mean_over_shapes_not_over_rows(tmp_path: Path) -> None:
    (folder,) = make_results(tmp_path, models=("vecset",), count=2, gallery=False)
    items = pd.read_parquet(folder / "items.parquet")
    items["floor_f_0.001"] = np.where(items["id"] == items["id"].iloc[0], 0.2, 0.4)
    items = items[~((items["id"] == items["id"].iloc[0]) & (items["tokens"] > 64))]
    items.to_parquet(folder / "items.parquet")
    assert noise_floors(load_results([tmp_path]))["f_0.001"] == pytest.approx(0.3)


def test_markdown_has_a_table_per_group_and_the_floor(site: Path) -> None:
    text = (site / "leaderboard.md").read_text()
    assert re.findall(r"^### (.*)$", text, re.M) == [
        "Held-out", "Train", "All", *(f"L{level} held-out" for level in range(5)),
    ]  # fmt: skip
    assert "*noise floor*" in text
    assert "| 11/12 |" in text
    for block in re.findall(r"(?:^\|.*\n)+", text, re.M):
        assert len({line.count("|") for line in block.splitlines()}) == 1


# Meshes in the page


def unpacked(packed: dict) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Positions (V,3), faces (F,3) and distance codes of a packed mesh: the reader, plainly."""
    raw = zlib.decompress(base64.b64decode(packed["data"]))
    vertices, faces = packed["vertices"], packed["faces"]
    data, at = np.frombuffer(raw, np.uint8), 0

    def take(count: int, kind: str) -> np.ndarray:
        nonlocal at
        width = np.dtype(kind).itemsize
        planes = data[at : at + width * count].reshape(width, count)
        at += width * count
        return np.ascontiguousarray(planes.T).view(kind)[:, 0]

    grid = np.stack(
        [np.cumsum(take(vertices, "<u2").astype(np.int64)) % 65536 for _ in range(3)], axis=1
    )
    a = np.cumsum(take(faces, "<i4"))
    corners = np.stack([a, a + take(faces, "<i4"), a + take(faces, "<i4")], axis=1)
    return np.array(packed["low"]) + packed["step"] * grid, corners, data[at:]


@pytest.mark.parametrize("kind", ["torus", "gear", "box"])
def test_packed_mesh_comes_back_within_half_a_step(kind: str) -> None:
    mesh = distorted(shape(kind), 0.02, 3)
    packed = pack_mesh(mesh, np.linspace(0, 0.2, len(mesh.vertices)))
    vertices, faces, codes = unpacked(packed)
    assert (len(vertices), len(faces), len(codes)) == (
        len(mesh.vertices),
        len(mesh.faces),
        len(mesh.vertices),
    )
    nearest = np.abs(mesh.vertices[:, None] - vertices[None]).max(axis=2).argmin(axis=1)
    assert np.abs(vertices[nearest] - mesh.vertices).max() < packed["step"] / 2 + 2e-6
    expected = {tuple(np.roll(face, -face.argmin())) for face in nearest[mesh.faces]}
    assert expected == {tuple(face) for face in faces}  # the same faces, the same way round
    assert (codes[nearest[0]], codes[nearest[-1]]) == (0, 255)


def test_packing_joins_equal_positions_and_drops_what_collapses() -> None:
    corners = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 0], [0, 1, 0], [-1, 0, 0]], float)
    packed = pack_mesh(Mesh(corners, np.array([[0, 1, 2], [3, 4, 5], [0, 3, 1]])))
    assert (packed["vertices"], packed["faces"]) == (4, 2)


def test_every_mesh_has_its_place_in_a_part_and_old_parts_go(tmp_path: Path) -> None:
    make_results(tmp_path / "r", models=("identity", "vecset"), count=2)
    parts = tmp_path / "site/parts"
    parts.mkdir(parents=True)
    for name in (f"{'0' * 20}.js", "kept.js"):
        (parts / name).touch()
    write_leaderboard([tmp_path / "r"], tmp_path / "site")
    assert (parts / "kept.js").is_file()
    assert not (parts / f"{'0' * 20}.js").exists()
    suite = embedded((tmp_path / "site" / "index.html").read_text(), "data")["suites"][0]
    shapes = suite["gallery"]["shapes"]
    places = [s["truth"] for s in shapes] + [
        score["mesh"] for s in shapes for score in s["scores"].values()
    ]
    for name, place in places:
        assert part(parts, name)[place]["faces"] > 0
    assert [item[0] for item in part(parts, suite["items"])] == sorted(s["id"] for s in shapes)
    for model in suite["models"]:
        for values in part(parts, model["items"]).values():
            assert len(values["iou"]) == 2
    before = {path: path.stat().st_mtime_ns for path in parts.iterdir()}
    write_leaderboard([tmp_path / "r"], tmp_path / "site")
    assert {path: path.stat().st_mtime_ns for path in parts.iterdir()} == before  # not made again


def part(folder: Path, name: str) -> object:
    """The value of a part of the page."""
    text = (folder / f"{name}.js").read_text()
    call = f'doraPart("{name}",'
    assert text.startswith(call)
    return json.loads(text[len(call) : -len(");\n")])


def embedded(html: str, name: str) -> object:
    found = re.search(rf'<script type="application/json" id="{name}">(.*?)</script>', html, re.S)
    assert found
    return json.loads(found[1])


def test_a_name_cannot_end_the_script(tmp_path: Path) -> None:
    (folder,) = make_results(tmp_path / "r", models=("vecset",), count=2, gallery=False)
    record = json.loads((folder / "results.json").read_text())
    record["model"]["name"] = hostile = "</script><img src=x onerror=alert(1)> /*SCRIPT*/ | \u2028"
    (folder / "results.json").write_text(json.dumps(record))
    write_leaderboard([tmp_path / "r"], tmp_path / "site")
    html = (tmp_path / "site" / "index.html").read_text()
    assert "<img src=x" not in html
    assert embedded(html, "data")["suites"][0]["models"][0]["label"] == hostile


# The page in a browser


@pytest.fixture(scope="module")
def page() -> Iterator[Browser]:
    with browser() as opened:
        yield opened


@pytest.fixture(scope="module")
def field(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A page of 14 models at 6 counts, two of whose names begin alike."""
    root = tmp_path_factory.mktemp("field")
    names = [f"model-{i}" for i in range(12)]
    names += ["a-family-with-a-long-name-base", "a-family-with-a-long-name-huge"]
    counts = (64, 256, 1024, 2048, 4096, 16384)
    for name in names:
        (folder,) = make_results(
            root / name, models=("vecset",), tokens=counts, count=6, gallery=False
        )
        record = json.loads((folder / "results.json").read_text())
        record["model"]["name"] = name
        (folder / "results.json").write_text(json.dumps(record))
    write_leaderboard([root], root / "site")
    return root / "site"


def opened(page: Browser, site: Path, fragment: str = "", width: int = 1280) -> Browser:
    page.errors.clear()
    page.requests.clear()
    page.size(width, 900)
    page.open(site / "index.html", f"{fragment}&group=all&entries=all")
    return page


FIRST_COLUMN = (
    "[...document.querySelectorAll('tbody tr')].map("
    "row => row.cells[4].querySelector('.value').textContent)"
)
SORTED = "document.querySelector('th[aria-sort]')?.getAttribute('aria-sort')"


def numbers(page: Browser) -> list[float]:
    return [float(text.replace(",", "")) for text in page.ask(FIRST_COLUMN)]


@pytest.mark.browser
@pytest.mark.skipif(find_chromium() is None, reason="no Chromium on PATH: apt-get install it")
class TestInTheBrowser:
    def test_whole_page_draws_without_an_error_or_a_request(
        self, page: Browser, site: Path
    ) -> None:
        opened(page, site)
        assert page.ask("document.querySelectorAll('tbody tr').length") == 12
        for button in ("surface", "edges", "literature", "cost"):
            page.click(f"#columns [data-value={button}]")
        for place in ("curves", "method", "shapes"):
            scroll_to(page, place)
        wait_until_drawn(page)
        outside = [url for url in page.requests if not url.startswith(("file:", "data:", "about:"))]
        assert (page.errors, outside) == ([], [])

    def test_click_and_keyboard_sort_by_the_better_end_first(
        self, page: Browser, site: Path
    ) -> None:
        opened(page, site)
        page.click("[data-sort='surface_f_0.005']")
        assert numbers(page) == sorted(numbers(page), reverse=True)
        assert page.ask(SORTED) == "descending"
        page.press("Enter")  # the header keeps the focus
        assert numbers(page) == sorted(numbers(page))
        assert page.ask(SORTED) == "ascending"
        assert numbers(page)[0] < numbers(page)[-1]
        assert page.errors == []

    def test_address_brings_the_state_back(self, page: Browser, site: Path) -> None:
        opened(
            page,
            site,
            "sort=surface_f_0.005&order=down&group=L2:held-out&columns=surface&theme=dark",
        )
        assert (
            page.ask("document.querySelector('[aria-selected=true]').dataset.group")
            == "L2:held-out"
        )
        assert page.ask("document.documentElement.dataset.theme") == "dark"
        assert page.ask(SORTED) == "descending"

    def test_tabs_follow_the_arrow_keys(self, page: Browser, site: Path) -> None:
        opened(page, site)
        before = page.ask("document.querySelector('tbody').textContent")
        page.click("[data-group=all]")
        page.press("ArrowRight")
        assert page.ask("document.activeElement.dataset.group") == "L0:held-out"
        assert page.ask("document.activeElement.getAttribute('aria-selected')") == "true"
        assert page.ask("document.querySelectorAll('[role=tab][tabindex=\"0\"]').length") == 1
        assert page.ask("document.querySelector('tbody').textContent") != before
        page.press("End")
        assert page.ask("document.activeElement.dataset.group") == "L4:held-out"
        page.press("Home")
        assert page.ask("document.activeElement.dataset.group") == "split:held-out"
        page.press("ArrowRight")
        assert page.ask("document.querySelectorAll('.case').length") == 4
        assert page.errors == []

    def test_headers_explain_themselves_on_focus(self, page: Browser, site: Path) -> None:
        opened(page, site)
        page.ask("document.querySelector('[data-sort=sne]').focus()")
        text = page.ask("document.getElementById('tip').textContent")
        assert METRICS["sne"].formula in text
        assert "lower is better" in text
        assert page.ask("!document.getElementById('tip').hidden")

    def test_failures_can_be_left_out_and_change_the_means(self, page: Browser, site: Path) -> None:
        opened(page, site, "sort=rank")
        row = "[...document.querySelectorAll('tbody tr')].find(r => r.querySelector('.fail'))"
        value = f"parseFloat({row}.cells[4].textContent)"
        with_failures = page.ask(value)
        page.click("#failures")
        assert page.ask(value) > with_failures

    def test_noise_floor_is_shown_beside_the_point_metrics(self, page: Browser, site: Path) -> None:
        opened(page, site, "columns=literature")
        foot = page.ask("document.querySelector('tfoot').textContent")
        assert "Noise floor" in foot
        assert "26.20" in foot

    def test_curves_have_a_line_per_model_and_walk_by_keys(self, page: Browser, site: Path) -> None:
        opened(page, site, "metric=surface_cd_l1")
        for chart, lines in (("tokens", 6), ("bytes", 3)):
            assert page.ask(f"document.querySelectorAll('#chart-{chart} polyline').length") == lines
            assert page.ask(f"document.querySelectorAll('#chart-{chart} .label').length") == 6
        assert "NaN" not in page.ask("document.querySelector('.charts').innerHTML")
        page.ask("document.querySelector('#chart-tokens svg').focus()")
        page.press("ArrowRight")
        assert "dora" in page.ask("document.getElementById('tip').textContent")

    def test_hiding_a_model_hides_it_everywhere(self, page: Browser, site: Path) -> None:
        opened(page, site)
        page.click("#legend button")
        name = page.ask("document.querySelector('#legend button').textContent")
        for place in ("table", "chart-tokens", "chart-bytes", "gallery"):
            assert name not in page.ask(f"document.getElementById('{place}').textContent")

    @pytest.mark.parametrize("viewer", ["webgl", "software"])
    def test_viewer_draws_and_turns_all_views_together(
        self, page: Browser, site: Path, viewer: str
    ) -> None:
        opened(page, site, f"viewer={viewer}")
        scroll_to(page, "shapes")
        wait_until_drawn(page)
        assert page.ask("document.querySelector('.stage canvas').dataset.drawn") == viewer
        before = [canvas_pixels(page, i) for i in range(3)]
        for pixels in before:
            drawn = pixels[..., 3] > 128
            assert 0.04 < drawn.mean() < 0.9
            assert pixels[..., :3][drawn].std() > 5  # shaded, not a flat patch
        page.drag(".stage canvas", 50, 12)
        after = settled(page, before)
        assert all((a != b).any() for a, b in zip(after, before, strict=True))
        page.press("0")
        again = settled(page, after)
        assert all((a == b).all() for a, b in zip(again, before, strict=True))
        page.press("+")
        zoomed = settled(page, again)
        assert (zoomed[0][..., 3] > 128).sum() > (again[0][..., 3] > 128).sum() * 1.2
        assert page.errors == []

    def test_both_renderers_draw_the_same_picture(self, page: Browser, site: Path) -> None:
        pictures = []
        for viewer in ("webgl", "software"):
            for shade in ("shaded", "normals", "distance"):
                opened(page, site, f"viewer={viewer}")
                page.click(f"#gallery-shading [data-value={shade}]")
                scroll_to(page, "shapes")
                wait_until_drawn(page)
                pictures.append(canvas_pixels(page, 2).astype(float))
        for one, other in zip(pictures[:3], pictures[3:], strict=True):
            both = (one[..., 3] > 250) & (other[..., 3] > 250)
            assert both.mean() > 0.04
            assert ((one[..., 3] > 128) ^ (other[..., 3] > 128)).mean() < 0.02
            assert np.abs(one - other)[both][:, :3].mean() < 4
        assert np.abs(pictures[0] - pictures[1]).mean() > 2

    def test_worst_cases_come_first_and_failures_before_them(
        self, page: Browser, site: Path
    ) -> None:
        opened(page, site)
        page.ask(
            "(() => { const s = document.getElementById('gallery-compare');"
            "s.value = 'mvecset'; s.onchange({target: s}); })()"
        )
        first = page.ask("document.querySelector('.case').textContent")
        assert first.startswith("cylinder-005")
        assert "the field has no zero level" in first
        count = "document.querySelectorAll('.case').length"
        assert page.ask(count) == 6
        page.click("#gallery-more")
        assert page.ask(count) == 12

    def test_pictures_off_screen_are_not_drawn(self, page: Browser, site: Path) -> None:
        opened(page, site)
        drawn = "document.querySelectorAll('.stage canvas[data-drawn]').length"
        assert page.ask(drawn) == 0
        scroll_to(page, "shapes")
        wait_until_drawn(page)
        assert 0 < page.ask(drawn) < page.ask("document.querySelectorAll('.stage canvas').length")

    def test_dark_follows_the_system_and_the_button(self, page: Browser, site: Path) -> None:
        page.size(1280, 900, dark=True)
        page.open(site / "index.html")
        brightness = "getComputedStyle(document.body).backgroundColor.match(/\\d+/g).map(Number)"
        assert max(page.ask(brightness)) < 60
        page.click("#theme")
        assert min(page.ask(brightness)) > 200

    @pytest.mark.parametrize("width", [320, 390, 768, 1280])
    def test_nothing_sticks_out_at_any_width(self, page: Browser, site: Path, width: int) -> None:
        opened(page, site, width=width)
        assert page.ask("document.documentElement.scrollWidth") <= width

    def test_several_suites_can_be_chosen(self, page: Browser, tmp_path: Path) -> None:
        make_results(tmp_path / "a", models=("vecset",), count=3, gallery=False)
        make_results(
            tmp_path / "b",
            models=("identity",),
            count=2,
            gallery=False,
            suite={"name": "other", "hash": "77"},
        )
        write_leaderboard([tmp_path / "a", tmp_path / "b"], tmp_path / "site")
        opened(page, tmp_path / "site")
        assert "vecset" in page.ask("document.getElementById('table').textContent")
        page.ask(
            "(() => { const s = document.querySelector('#facts select'); s.selectedIndex = 1;"
            "s.dispatchEvent(new Event('change')); })()"
        )
        assert "identity" in page.ask("document.getElementById('table').textContent")
        assert page.ask("document.getElementById('gallery-section').hidden")
        assert page.errors == []

    def test_baselines_alone_have_a_whole_page(self, page: Browser, tmp_path: Path) -> None:
        make_results(tmp_path / "r", models=("identity", "draco-11"), count=2)
        write_leaderboard([tmp_path / "r"], tmp_path / "site")
        opened(page, tmp_path / "site")
        scroll_to(page, "shapes")
        wait_until_drawn(page)
        assert page.ask("document.querySelectorAll('.stage canvas').length") == 6
        assert page.ask("document.querySelectorAll('#chart-tokens polyline').length") == 2
        assert page.errors == []

    def test_held_out_shapes_and_a_row_a_model_come_first(self, page: Browser, site: Path) -> None:
        page.size(1280, 900)
        page.open(site / "index.html")
        assert page.ask("document.querySelector('[aria-selected=true]').dataset.group") == (
            "split:held-out"
        )
        assert "on shapes it never saw" in page.ask("document.getElementById('lead').textContent")
        rows = page.ask("[...document.querySelectorAll('tbody tr')].map(r => r.cells[0].innerText)")
        assert len(rows) == 6
        assert rows[0] == "1"
        page.ask(
            "(() => { const s = document.getElementById('entries'); s.value = 'all';"
            "s.onchange({target: s}); })()"
        )
        assert page.ask("document.querySelectorAll('tbody tr').length") == 12

    def test_the_table_that_is_shown_can_be_downloaded(self, page: Browser, site: Path) -> None:
        opened(page, site, "columns=edges&group=L2:held-out")
        page.ask(
            "window.kept = new Promise(done => { URL.createObjectURL = blob => "
            "{ blob.text().then(done); return 'data:text/csv,'; }; }); 0"
        )
        page.ask("HTMLAnchorElement.prototype.click = function () {}; 0")
        page.click("#csv")
        table = pd.read_csv(io.StringIO(page.ask("window.kept")))
        shown = page.ask(
            "[...document.querySelectorAll('tbody tr')].map(r => r.cells[1].querySelector('.name')"
            ".textContent)"
        )
        assert list(table["model"]) == shown
        assert set(table["group"]) == {"L2:held-out"}
        assert {"sne", "sne_ci_low", "edge_f_0.005"} <= set(table.columns)
        truth = pd.read_csv(site / "leaderboard.csv").query("group == 'L2:held-out'")
        key = ["model", "tokens"]
        both = table.merge(truth, on=key, suffixes=("", "_truth"))
        assert np.allclose(both["sne"], both["sne_failures_worst"], rtol=1e-5)

    def test_two_models_stand_side_by_side_and_a_click_opens_the_shape(
        self, page: Browser, site: Path
    ) -> None:
        opened(page, site)
        assert [url for url in page.requests if "/parts/" in url] == []  # until it is looked at
        scroll_to(page, "versus")
        page.wait("document.querySelectorAll('#scatter circle').length > 2")
        assert page.ask("document.querySelectorAll('#scatter circle').length") == 12 + 1  # the ring
        assert "of 12" in page.ask("document.getElementById('versus-note').textContent")
        page.ask("document.querySelector('#scatter svg').focus()")
        page.press("ArrowRight")
        name = page.ask("document.querySelector('#tip b').textContent")
        page.press("Enter")
        assert page.ask("document.querySelectorAll('.case').length") == 1
        assert page.ask("document.querySelector('.case h3').textContent") == name
        # Not by the mouse: the page is still gliding to the shape.
        page.ask("document.getElementById('gallery-more').click()")
        page.wait("document.querySelectorAll('.case').length === 6")
        assert page.errors == []

    def test_a_name_opens_the_models_card(self, page: Browser, site: Path) -> None:
        opened(page, site)
        page.click("tbody .name")
        text = page.ask("document.getElementById('card').innerText")
        for word in ("Licence", "Run by", "Hardware", "Settings", "scorer"):
            assert word in text, word
        page.ask("document.querySelector('#card button').click()")
        assert not page.ask("document.getElementById('card').open")

    def test_a_field_of_fourteen_stays_apart(self, page: Browser, field: Path) -> None:
        page.size(1280, 900)
        page.open(field / "index.html")
        marks = page.ask(
            "[...document.querySelectorAll('#legend svg')].map(s => s.innerHTML"
            ".replace(/(cx|cy|x|y)=.[0-9.]+. /g, ''))"
        )
        assert len(marks) == len(set(marks)) == 14
        labels = page.ask(
            "[...document.querySelectorAll('#chart-tokens .label')].map(t => t.firstChild.data)"
        )
        assert len(labels) == len(set(labels)) == 14
        assert page.ask("document.querySelectorAll('tbody tr').length") == 14
        for columns in ("overview", "edges", "cost"):
            page.click(f"#columns [data-value={columns}]")
            hidden = "document.getElementById('table')"
            assert page.ask(f"{hidden}.scrollWidth - {hidden}.clientWidth") <= 0, columns
        cut = page.ask(
            "[...document.querySelectorAll('tbody .name')].some(n => n.scrollWidth > "
            "n.parentElement.clientWidth)"
        )
        assert not cut

    def test_what_runs_off_a_phone_says_so(self, page: Browser, field: Path) -> None:
        page.size(390, 800)
        page.open(field / "index.html")
        page.wait("document.querySelectorAll('.strip[data-after]').length >= 2")
        page.ask(
            "(() => { const t = document.getElementById('groups'); t.scrollLeft = t.scrollWidth;"
            "})()"
        )
        page.wait("document.querySelector('.strip').hasAttribute('data-before')")
        assert not page.ask("document.querySelector('.strip').hasAttribute('data-after')")
        assert page.ask("document.documentElement.scrollWidth") <= 390

    def test_screenshot_shows_the_page(self, site: Path, tmp_path: Path) -> None:
        screenshot(site / "index.html", tmp_path / "shot.png", 640, 480, fragment="at=shapes")
        with Image.open(tmp_path / "shot.png") as picture:
            assert picture.size == (640, 480)
            assert len(picture.convert("RGB").getcolors(1 << 20)) > 200


def scroll_to(page: Browser, place: str) -> None:
    """Bring an element to the top of the window at once."""
    page.ask(f"document.getElementById('{place}').scrollIntoView({{behavior: 'instant'}})")


def wait_until_drawn(page: Browser) -> None:
    """Until every gallery view in the window has its picture."""
    page.wait(
        "(() => { const seen = [...document.querySelectorAll('.stage canvas')].filter(c => {"
        "const b = c.getBoundingClientRect(); return b.bottom > 0 && b.top < innerHeight; });"
        "return seen.length && seen.every(c => c.dataset.drawn); })()"
    )


def canvas_pixels(page: Browser, index: int) -> np.ndarray:
    """RGBA (H,W,4) of one gallery view."""
    address = page.ask(f"document.querySelectorAll('.stage canvas')[{index}].toDataURL()")
    with Image.open(io.BytesIO(base64.b64decode(address.split(",")[1]))) as picture:
        return np.asarray(picture.convert("RGBA"))


def settled(page: Browser, before: list[np.ndarray]) -> list[np.ndarray]:
    """The first views once all of them differ from `before` and have come to rest."""
    pictures = before
    for _ in range(200):
        page.ask("new Promise((done) => requestAnimationFrame(() => setTimeout(done, 30)))")
        last, pictures = pictures, [canvas_pixels(page, i) for i in range(len(before))]
        rests = all((a == b).all() for a, b in zip(last, pictures, strict=True))
        if rests and all((a != b).any() for a, b in zip(before, pictures, strict=True)):
            return pictures
    raise AssertionError("the views did not change")
