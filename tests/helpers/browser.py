"""A headless Chromium for tests, spoken to over a pipe (DevTools protocol, no driver, no socket).

`screenshot(html, png, width, height)` takes a picture of a page; `Browser` opens pages that can be
clicked, typed into and asked.
"""

import base64
import contextlib
import json
import os
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--hide-scrollbars",
    "--no-first-run",
    "--disable-quic",
    "--disable-sync",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-dev-shm-usage",
    "--use-gl=angle",
    "--use-angle=swiftshader",
    "--enable-unsafe-swiftshader",
    "--force-color-profile=srgb",
    "--remote-debugging-pipe",
)
# Chromium reads commands from descriptor 3 and answers on 4.
MOVE = (
    "import fcntl, os, sys; read, send = (fcntl.fcntl(int(n), 0, 10) for n in sys.argv[1:3]);"
    "os.dup2(read, 3); os.dup2(send, 4); os.execv(sys.argv[3], sys.argv[3:])"
)
KEYS = {"Enter": ("\r", 13), "Tab": ("", 9), "ArrowLeft": ("", 37), "ArrowUp": ("", 38)}
KEYS |= {"ArrowRight": ("", 39), "ArrowDown": ("", 40), "Home": ("", 36), "End": ("", 35)}


class BrowserError(RuntimeError):
    """Chromium did not answer, or a script in the page threw."""


def find_chromium() -> str | None:
    """The first Chromium on PATH, None without one."""
    return next((path for name in NAMES if (path := shutil.which(name))), None)


class Browser:
    """One Chromium with one page. `errors` collects console errors and uncaught exceptions."""

    def __init__(self, receive: int, send: int) -> None:
        self.receive, self.send_to, self.count, self.buffer = receive, send, 0, b""
        self.errors: list[str] = []
        self.requests: list[str] = []
        self.session = ""
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self.session = self.call("Target.attachToTarget", targetId=target, flatten=True)[
            "sessionId"
        ]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        """Send one command and wait for its answer."""
        self.count += 1
        message: dict[str, Any] = {"id": self.count, "method": method, "params": params}
        if self.session:
            message["sessionId"] = self.session
        data = json.dumps(message).encode() + b"\0"
        while data:
            data = data[os.write(self.send_to, data) :]
        deadline = time.monotonic() + 60
        while True:
            answer = self._next(deadline, method)
            if answer.get("id") == self.count:
                if "error" in answer:
                    raise BrowserError(f"{method}: {answer['error']['message']}")
                return answer["result"]
            self._note(answer)

    def _next(self, deadline: float, waiting_for: str) -> dict[str, Any]:
        while b"\0" not in self.buffer:
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([self.receive], [], [], left)[0]:
                raise BrowserError(f"Chromium did not answer {waiting_for} in time")
            chunk = os.read(self.receive, 1 << 20)
            if not chunk:
                raise BrowserError(f"Chromium ended while {waiting_for} was waiting")
            self.buffer += chunk
        message, self.buffer = self.buffer.split(b"\0", 1)
        return json.loads(message)

    def _note(self, event: dict[str, Any]) -> None:
        """Keep what a test must not overlook."""
        method, params = event.get("method"), event.get("params", {})
        if method == "Runtime.exceptionThrown":
            details = params["exceptionDetails"]
            self.errors.append(details.get("exception", {}).get("description", details["text"]))
        elif method == "Runtime.consoleAPICalled" and params["type"] in ("error", "warning"):
            self.errors.append(" ".join(str(arg.get("value")) for arg in params["args"]))
        elif method == "Log.entryAdded" and params["entry"]["level"] == "error":
            self.errors.append(params["entry"]["text"])
        elif method == "Network.requestWillBeSent":
            self.requests.append(params["request"]["url"])

    def size(self, width: int, height: int, dark: bool = False, scale: float = 1) -> None:
        """Set the window, and what the system prefers."""
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=scale,
            mobile=False,
        )
        scheme = "dark" if dark else "light"
        self.call(
            "Emulation.setEmulatedMedia",
            features=[{"name": "prefers-color-scheme", "value": scheme}],
        )

    def open(self, html: Path, fragment: str = "") -> None:
        """Load a file and wait until it has loaded."""
        self.call("Page.navigate", url="about:blank")
        address = html.resolve().as_uri() + (f"#{fragment}" if fragment else "")
        self.call("Page.navigate", url=address)
        self.wait("document.readyState === 'complete' && location.protocol === 'file:'")

    def ask(self, expression: str) -> Any:
        """The value of a JavaScript expression (awaited) in the page."""
        answer = self.call(
            "Runtime.evaluate",
            expression=expression,
            returnByValue=True,
            awaitPromise=True,
            userGesture=True,
        )
        if "exceptionDetails" in answer:
            details = answer["exceptionDetails"]
            raise BrowserError(details.get("exception", {}).get("description", details["text"]))
        return answer["result"].get("value")

    def wait(self, expression: str, seconds: float = 30) -> None:
        """Until a JavaScript expression is true."""
        deadline = time.monotonic() + seconds
        while not self.ask(f"Boolean({expression})"):
            if time.monotonic() > deadline:
                raise BrowserError(f"not true after {seconds:g} s: {expression}")
            time.sleep(0.03)

    def center(self, selector: str) -> tuple[float, float]:
        """Scroll an element into view and return the middle of it in the window."""
        box = self.ask(
            f"(() => {{ const e = document.querySelector({json.dumps(selector)});"
            "e.scrollIntoView({block: 'center', behavior: 'instant'});"
            "const b = e.getBoundingClientRect(); return [b.x + b.width / 2, b.y + b.height / 2];"
            "})()"
        )
        return box[0], box[1]

    def mouse(self, kind: str, x: float, y: float, **more: Any) -> None:
        """mouseMoved, mousePressed, mouseReleased or mouseWheel at a place in the window."""
        self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, **more)

    def click(self, selector: str) -> None:
        """A real click in the middle of an element."""
        x, y = self.center(selector)
        for kind in ("mousePressed", "mouseReleased"):
            self.mouse(kind, x, y, button="left", clickCount=1)

    def drag(self, selector: str, right: float, down: float) -> None:
        """Press in the middle of an element, move, release."""
        x, y = self.center(selector)
        self.mouse("mousePressed", x, y, button="left", clickCount=1, buttons=1)
        for step in (0.5, 1.0):
            self.mouse("mouseMoved", x + step * right, y + step * down, button="left", buttons=1)
        self.mouse("mouseReleased", x + right, y + down, button="left", clickCount=1)

    def press(self, key: str) -> None:
        """One key to the element in focus: a name of KEYS or a character."""
        text, code = KEYS.get(key, (key, ord(key[0])))
        down = {"text": text} if text else {}
        common = {"key": key, "windowsVirtualKeyCode": code}
        self.call("Input.dispatchKeyEvent", type="keyDown", **common, **down)
        self.call("Input.dispatchKeyEvent", type="keyUp", **common)

    def picture(self, png: Path, full: bool = False) -> None:
        """Save what the window shows, or the whole page."""
        shot = self.call("Page.captureScreenshot", format="png", captureBeyondViewport=full)
        png.parent.mkdir(parents=True, exist_ok=True)
        png.write_bytes(base64.b64decode(shot["data"]))


@contextlib.contextmanager
def browser() -> Iterator[Browser]:
    """A Chromium of its own with an empty profile; ended with all its children."""
    program = find_chromium()
    if program is None:
        raise BrowserError(f"none of {', '.join(NAMES)} is on PATH: apt-get install chromium")
    child_reads, we_send = os.pipe()
    we_receive, child_sends = os.pipe()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        process = subprocess.Popen(
            [
                *(sys.executable, "-c", MOVE, f"{child_reads}", f"{child_sends}"),
                *(program, *FLAGS, f"--user-data-dir={profile}"),
            ],
            pass_fds=(child_reads, child_sends),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        os.close(child_reads)
        os.close(child_sends)
        try:
            yield Browser(we_receive, we_send)
        finally:
            os.close(we_send)
            os.close(we_receive)
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def screenshot(
    html: Path, png: Path, width: int, height: int, dark: bool = False, fragment: str = ""
) -> None:
    """Picture of a leaderboard page: `fragment` as in its address; "at=ID" scrolls to an element.

    Waits until every gallery view on screen is drawn.
    """
    fields = dict(part.partition("=")[::2] for part in fragment.split("&") if part)
    place = fields.pop("at", "")
    with browser() as page:
        page.size(width, height, dark)
        page.open(html, "&".join(f"{key}={value}" for key, value in fields.items()))
        if place:
            page.ask(
                f"document.getElementById({json.dumps(place)})"
                ".scrollIntoView({block: 'start', behavior: 'instant'})"
            )
            page.ask("new Promise((done) => requestAnimationFrame(() => setTimeout(done, 100)))")
        page.wait(
            "[...document.querySelectorAll('.stage canvas')].every((c) => c.dataset.drawn || "
            "c.getBoundingClientRect().top > innerHeight || c.getBoundingClientRect().bottom < 0)"
        )
        page.picture(png)
        if page.errors:
            raise BrowserError("; ".join(page.errors))
