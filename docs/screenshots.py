#!/usr/bin/env python3
"""Screenshots of an HTML report: 390 and 1280 pixels wide, light and dark.

    docs/screenshots.py report.html [directory]

Finds Chromium or Chrome on the PATH. The theme is set by the `data-theme` attribute on a copy.
Also measures that the page does not scroll sideways, and fails if it does.
"""

import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

NAMES = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome"]
MEASURE = (
    "<iframe id=f style='border:0;width:%dpx;height:900px' src='%s'></iframe><script>"
    "onload=()=>{const e=document.getElementById('f').contentDocument.documentElement;"
    "document.body.insertAdjacentHTML('beforeend','<p>measured '+e.scrollWidth+' '+e.scrollHeight+'</p>')}"
    "</script>"
)


def main() -> int:
    if len(sys.argv) not in (2, 3):
        print(__doc__)
        return 2
    page = pathlib.Path(sys.argv[1])
    target = pathlib.Path(sys.argv[2] if len(sys.argv) == 3 else page.parent)
    target.mkdir(parents=True, exist_ok=True)
    browser = next(filter(None, map(shutil.which, NAMES)), None)
    if browser is None:
        print("no Chromium or Chrome on the PATH; looked for", ", ".join(NAMES))
        return 2
    html = page.read_text(encoding="utf-8")
    wide = []
    with tempfile.TemporaryDirectory() as scratch:
        scratch = pathlib.Path(scratch)

        def run(*arguments: str) -> str:
            flags = [
                "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--no-first-run",
                "--disable-background-networking", "--disable-component-update", "--disable-sync",
                "--allow-file-access-from-files", f"--user-data-dir={scratch / 'profile'}",
            ]
            done = subprocess.run([browser, *flags, *arguments], capture_output=True, text=True, timeout=120)
            return done.stdout

        for theme in ["light", "dark"]:
            copy = scratch / f"{theme}.html"
            copy.write_text(html.replace("<html lang", f'<html data-theme="{theme}" lang', 1), encoding="utf-8")
            for width in [390, 1280]:
                # A window can't be as narrow as a phone everywhere: a frame can.
                frame = scratch / "frame.html"
                frame.write_text(
                    "<!doctype html><body style='margin:0'>" + MEASURE % (width, copy.as_uri()), encoding="utf-8"
                )
                found = re.search(r"measured (\d+) (\d+)", run("--virtual-time-budget=3000", "--dump-dom", frame.as_uri()))
                if found is None:
                    print("the page could not be measured")
                    return 1
                across, height = map(int, found.groups())
                if across > width:
                    wide.append(f"{theme} at {width}: {across} pixels wide")
                frame.write_text(
                    f"<!doctype html><body style='margin:0'><iframe style='border:0;display:block;width:{width}px;"
                    f"height:{height}px' src='{copy.as_uri()}'></iframe>", encoding="utf-8"
                )
                picture = target / f"{page.stem}-{width}-{theme}.png"
                run(f"--screenshot={picture.resolve()}", f"--window-size={width},{height}", frame.as_uri())
                print(f"{picture}  {width} x {height}")
    for line in wide:
        print("scrolls sideways:", line)
    return 1 if wide else 0


if __name__ == "__main__":
    sys.exit(main())
