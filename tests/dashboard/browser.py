"""The Tweeter dashboard in a headless Chromium: logs in, waits until every chart is drawn, takes a picture.

usage: browser.py PICTURE.png QUERIES.json   fails if a chart shows an error or is not drawn; keeps what
                                         the charts have asked, for check.py
       browser.py --latency COMMAND      20 times: runs COMMAND (it adds uses of hashtags and returns when
                                         they are on their way), waits for the number on the screen to move

Charts on a canvas have no text: look at the picture. Needs $SUPERSET_URL, $SUPERSET_ADMIN_PASSWORD.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.chrome.service import Service

URL = os.environ["SUPERSET_URL"]
ERRORS = ("Unexpected error", "Data error", "error occurred", "Columns missing", "There is no chart definition", "No results")
TRIES = 20


def open_browser(profile):
    options = webdriver.ChromeOptions()
    for flag in (
        "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
        "--disable-background-networking", "--disable-component-update", "--disable-sync",
        "--disable-dev-shm-usage", f"--user-data-dir={profile}", "--window-size=1500,2330",
        # Nothing may leave this machine; the page asks for a counting pixel.
        "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
    ):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"performance": "ALL"})
    return webdriver.Chrome(options=options, service=Service("/usr/bin/chromedriver"))


def wait(seconds, what, condition):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            if found := condition():
                return found
        except Exception:  # the page is being drawn
            pass
        time.sleep(0.05)
    sys.exit(f"browser.py: after {seconds} s not there: {what}")


def log_in(browser):
    browser.get(f"{URL}/login/")
    field = lambda name: wait(60, name, lambda: browser.find_element(By.CSS_SELECTOR, f"input#{name}, input[name={name}]"))  # noqa: E731
    field("username").send_keys("admin")
    field("password").send_keys(os.environ["SUPERSET_ADMIN_PASSWORD"] + "\n")
    wait(60, "the page behind the login", lambda: "/login" not in browser.current_url)
    browser.get(f"{URL}/superset/dashboard/tweeter/?standalone=1")


def body(browser):
    return browser.find_element(By.TAG_NAME, "body").text


def drawn(browser):
    """How many charts show something: a canvas, a drawing, a table, a number."""
    return browser.execute_script(
        "return [...document.querySelectorAll('.slice_container')].filter("
        "c => c.querySelector('canvas, svg text, td, .header-line')).length"
    )


def queries(browser):
    """What each chart has asked, by the chart's id."""
    sent = {}
    for entry in browser.get_log("performance"):
        message = json.loads(entry["message"])["message"]
        if message["method"] == "Network.requestWillBeSent":
            request = message["params"]["request"]
            if "/api/v1/chart/data" in request["url"] and request.get("postData"):
                body = json.loads(request["postData"])
                sent[body["form_data"]["slice_id"]] = body
    return sent


def picture(browser, path, charts):
    wait(120, f"{charts} charts drawn", lambda: drawn(browser) >= charts)
    # Bars and words grow into place.
    time.sleep(3)
    text = body(browser)
    browser.save_screenshot(path)
    shown = [error for error in ERRORS if error in text]
    if shown:
        sys.exit(f"browser.py: the dashboard shows {shown}; see {path}")
    print(f"picture={path} charts={drawn(browser)}")


def uses(browser):
    """The first big number, "Hashtag uses"."""
    text = browser.find_element(By.CSS_SELECTOR, ".superset-legacy-chart-big-number .header-line").text
    return int(text.replace(",", ""))


def latency(browser, command):
    wait(120, "the number", lambda: uses(browser) >= 0)
    seconds = []
    for index in range(TRIES):
        # Not in step with the rounds of the page.
        time.sleep(0.7 + index % 7 * 0.37)
        before = uses(browser)
        start = time.monotonic()
        subprocess.run(command, shell=True, check=True, stdout=subprocess.DEVNULL)
        wait(60, "a greater number", lambda: uses(browser) > before)
        seconds.append(time.monotonic() - start)
    median, worst = statistics.median(seconds), max(seconds)
    print(f"tries={TRIES} median={median:.2f} worst={worst:.2f}", " ".join(f"{second:.1f}" for second in seconds))
    if median > 3 or worst > 8:
        sys.exit("browser.py: too late: the median may be 3 s, the worst 8 s")


def main():
    with tempfile.TemporaryDirectory() as profile:
        browser = open_browser(profile)
        try:
            log_in(browser)
            if sys.argv[1] == "--latency":
                latency(browser, sys.argv[2])
            else:
                picture(browser, sys.argv[1], int(os.environ["CHARTS"]))
                Path(sys.argv[2]).write_text(json.dumps(queries(browser)))
        finally:
            browser.quit()


if __name__ == "__main__":
    main()
