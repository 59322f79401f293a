"""Take the pictures of tour.md from the running example: ``python3 docs/tour.py``.

It needs chromium, and nothing beyond Python's library: start the example first, as the README says.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, quote, urlsplit

HERE = Path(__file__).parent
SIZE = "1080,540"
#: Where the half of a page says too little.
TALL = {"overview": "1080,760"}
#: Larger ones make a checkout slow.
MOST_BYTES = 100_000

#: The pictures by name; ``TRACE`` stands for the trace of a message that came in by SMTP, and
#: ``PROFILE`` for a profile that was taken meanwhile.
PAGES = {
    "start": "/",
    "overview": "/debug/",
    "vars": "/debug/vars?q=chasquid",
    "traces": "/debug/traces",
    "failed": "/debug/traces?fam=Courier&b=-2",
    "trace": "/debug/traces?trace=TRACE",
    "loops": "/debug/traces?fam=Queue.Loop&b=-1",
    "events": "/debug/events?fam=STSCache",
    "queue": "/debug/queue",
    "domains": "/debug/domains",
    "threads": "/debug/threads",
    "profile": "/debug/profile?id=PROFILE",
    "memory": "/debug/memory?types=1",
    "metrics": "/debug/metrics?q=chasquid",
    "flags": "/debug/flags?q=smtp",
    "config": "/debug/config?q=RELAY",
}


def take(browser: str, base: str, name: str, path: str) -> int:
    """Take one picture and return its size in bytes."""
    picture = HERE / "tour" / f"{name}.png"
    with tempfile.TemporaryDirectory() as profile:
        options = ["--headless=new", "--no-sandbox", "--hide-scrollbars", "--disable-gpu"]
        options += [f"--user-data-dir={profile}", f"--window-size={TALL.get(name, SIZE)}"]
        command = [browser, *options, f"--screenshot={picture}", base + path]
        subprocess.run(command, check=True, timeout=60, capture_output=True)
    return picture.stat().st_size


def a_trace(base: str) -> str:
    """Return the id of a message's trace, one that had much to do."""
    with urllib.request.urlopen(f"{base}/debug/traces.json?fam=SMTP.Conn", timeout=10) as answer:
        traces = json.load(answer)["traces"]
    taken = [t for t in traces if any("Queued as" in e["text"] for e in t["events"])]

    def parts(trace: dict[str, Any]) -> int:
        return sum(event["kind"] == "child" for event in trace["events"])

    return str(max(taken, key=parts)["id"])


def a_profile(base: str) -> str:
    """Take a profile in the background and return its id."""
    form, headers = b"action=start&seconds=3&mode=wall", {"Accept": "text/html"}
    asked = urllib.request.Request(f"{base}/debug/profile", form, headers)
    # What it leads to is the page of the profile that is being taken.
    with urllib.request.urlopen(asked, timeout=10) as answer:
        found = parse_qs(urlsplit(answer.url).query)
    time.sleep(5)
    return found["id"][0]


def main() -> None:
    """Make some traffic, and take all pictures or those that are named."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--port", default="8000")
    options.add_argument("--smtp-port", default="2525")
    options.add_argument("names", nargs="*", help=f"of {', '.join(PAGES)}")
    given = options.parse_args()
    base = f"http://127.0.0.1:{given.port}"
    browser = shutil.which("chromium") or shutil.which("chromium-browser")
    if browser is None:
        raise SystemExit("There is no chromium on the path.")

    (HERE / "tour").mkdir(exist_ok=True)
    traffic = [sys.executable, "-m", "example_app.traffic", "--port", given.port]
    subprocess.run([*traffic, "--smtp-port", given.smtp_port], check=True, cwd=HERE.parent)
    time.sleep(5)  # for what is tried again
    trace, profile = quote(a_trace(base)), quote(a_profile(base))
    too_large = []
    for name, path in PAGES.items():
        if given.names and name not in given.names:
            continue
        size = take(browser, base, name, path.replace("TRACE", trace).replace("PROFILE", profile))
        print(f"{size:8,} bytes  {name}.png")
        too_large += [name] if size > MOST_BYTES else []
    if too_large:
        raise SystemExit(f"Larger than {MOST_BYTES:,} bytes: {', '.join(too_large)}")


if __name__ == "__main__":
    main()
