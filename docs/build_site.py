"""The guides of this folder and the API reference of the docstrings as one static site.

    python docs/build_site.py site/docs

Needs the extra `docs` (pdoc). The site is plain files: open index.html, or serve the folder.
"""

import html
import re
import sys
from importlib import import_module
from pathlib import Path
from pkgutil import walk_packages

import markdown2
import pdoc
import pdoc.render

ROOT = Path(__file__).parent.parent
PACKAGES = ("preprocessing", "vae", "dora_bench")
FIRST = ("installation", "python", "samples-in-pytorch", "meshes", "formats", "cluster", "training")
GUIDES = (*FIRST, *sorted({path.stem for path in (ROOT / "docs").glob("*.md")} - {*FIRST}))
"""Every Markdown file of this folder, a newcomer's first."""

STYLE = """
:root { color-scheme: light dark; --page: #fff; --ink: #1c2128; --soft: #667; --line: #dde1e7;
  --code: #f3f5f8; --link: #1a5fb4; }
@media (prefers-color-scheme: dark) { :root { --page: #14171c; --ink: #e6e9ee; --soft: #9aa3b0;
  --line: #323843; --code: #1d2128; --link: #78aeff; } }
body { margin: 0; display: grid; grid-template-columns: 14rem minmax(0, 1fr); color: var(--ink);
  background: var(--page); font: 16px/1.6 system-ui, sans-serif; }
nav { padding: 2rem 1rem 2rem 2rem; border-right: 1px solid var(--line); min-height: 100vh; }
nav a { display: block; padding: .15rem 0; }
nav b { display: block; margin-top: 1.2rem; color: var(--soft); font-weight: 600; }
main { padding: 1rem 3rem 4rem; max-width: 56rem; box-sizing: border-box; }
a { color: var(--link); text-decoration: none; }
a:hover { text-decoration: underline; }
code { background: var(--code); padding: .1em .3em; border-radius: 4px; font-size: .9em; }
pre { background: var(--code); padding: 1rem; border-radius: 8px; overflow-x: auto; }
pre code { padding: 0; }
table { border-collapse: collapse; display: block; overflow-x: auto; }
th, td { border: 1px solid var(--line); padding: .3rem .6rem; text-align: left; }
img { max-width: 100%; }
@media (max-width: 50rem) { body { display: block; } nav { min-height: 0; border: 0; }
  main { padding: 1rem 2rem; } }
"""


def build(out: Path) -> None:
    """Write the whole site below `out`: index.html (the README), the guides, api/."""
    out.mkdir(parents=True, exist_ok=True)
    for name in GUIDES:
        write_page(out / f"{name}.html", (ROOT / "docs" / f"{name}.md").read_text())
    write_page(out / "index.html", (ROOT / "README.md").read_text())
    for picture in (ROOT / "docs").glob("*.png"):
        (out / picture.name).write_bytes(picture.read_bytes())
    write_reference(out / "api")


def write_reference(out: Path) -> None:
    """The API reference: every module but the kernels, whose callers say what they do."""
    modules = []
    for name in PACKAGES:
        package = import_module(name)
        for public in package.__all__:  # they load on first use, which pdoc does not try
            setattr(package, public, getattr(package, public))
        found = walk_packages(package.__path__, f"{name}.")
        modules += [name, *(module.name for module in found if not module.ispkg)]
    pdoc.render.configure(docformat="markdown", footer_text="Dora-bench", show_source=False)
    shown = [name for name in modules if not name.endswith(("_kernels", "_tables", ".__main__"))]
    pdoc.pdoc(*shown, output_directory=out)


def write_page(path: Path, text: str) -> None:
    """One guide as a page with the list of all beside it."""
    title = re.search(r"^# (.*)", text, re.MULTILINE)
    body = markdown2.markdown(text, extras=["fenced-code-blocks", "tables", "header-ids"])
    heading = html.escape(title[1] if title else path.stem)
    path.write_text(
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{heading}</title><style>{STYLE}</style></head>"
        f"<body><nav>{navigation()}</nav><main>{moved_links(body)}</main></body></html>\n"
    )


def navigation() -> str:
    """Links to the README, every guide and the three packages."""
    guides = [f'<a href="{name}.html">{title_of(name)}</a>' for name in GUIDES]
    packages = [f'<a href="api/{name}.html">{name}</a>' for name in PACKAGES]
    home = '<a href="index.html">Dora-bench</a>'
    return "".join([home, "<b>Guides</b>", *guides, "<b>API</b>", *packages])


def title_of(name: str) -> str:
    """The first heading of a guide."""
    return html.escape((ROOT / "docs" / f"{name}.md").read_text().partition("\n")[0].lstrip("# "))


def moved_links(body: str) -> str:
    """Links between Markdown files lead between pages; those to other files become their names."""
    pages = "|".join([*GUIDES, "README"])
    body = re.sub(rf'href="(?:docs/|\.\./)?({pages})\.md(#[^"]*)?"', r'href="\1.html\2"', body)
    body = re.sub(r'src="docs/([^"]+)"', r'src="\1"', body)
    body = body.replace('href="README.html"', 'href="index.html"')
    return re.sub(r'<a href="(?!https?:|#|api/|[\w-]+\.(?:html|png))[^"]*">(.*?)</a>', r"\1", body)


if __name__ == "__main__":
    build(Path(sys.argv[1] if len(sys.argv) > 1 else "site/docs"))
